// Frames off a channel.
#pragma once

#include <string>
#include <vector>

#include "fabric/net/channel.h"
#include "fabric/wire/frame.h"

namespace caravan::fabric {

struct Frame {
  Type type = Type::error;
  std::string payload;
};

/// One thread uses it. Once the channel seals, a frame that is not the next one as it was sent is an error.
/// Reads some at a time, so that what it has read belongs to it alone: one reader a channel.
class FrameReader {
 public:
  /// `channel` must outlive this.
  FrameReader(Channel& channel, Expecting expecting);
  /// What the other end may say from now on.
  void expect(Expecting expecting) { expecting_ = expecting; }
  /// The next frame; the deadline holds for all of it. What `frame` had is gone; its memory is used again.
  Result<void> next(Frame& frame, const SteadyTime* deadline);
  Result<Frame> next(const SteadyTime* deadline);
  /// Without it nothing is read but the frame that is asked for: what else has come stays on the channel,
  /// where another thread that waits for it sees it.
  void read_ahead(bool may) { ahead_ = may; }
  /// Bytes have been read that no next() has given yet: they may come without more from the channel.
  bool has_some() const { return begin_ != end_; }

 private:
  Result<void> fill(std::size_t least, const SteadyTime* deadline);

  Channel& channel_;
  Expecting expecting_;
  std::vector<char> buffer_;
  Seal received_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool ahead_ = true;
};

}  // namespace caravan::fabric
