// The reading end of a peer's connection. It has a thread of its own that waits for what comes; but a thread
// that has nothing to do until it has come can take over and read by itself: one change of threads less.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "fabric/net/frame_reader.h"

namespace caravan::fabric::worker {

class Inlet {
 public:
  /// `take` gets each frame, by whichever thread has read it. What is handed in must outlive this.
  Inlet(Channel& channel, FrameReader& reader, std::function<Result<void>(const Frame&)> take);

  /// The connection's own thread: reads while nobody else does, until the connection ends or `take` fails.
  Error serve();

  /// True when the caller reads from now on, until give_back(); false when its own thread has it at this
  /// moment, and goes on reading. Not by one who reads already. Does not block. While it holds, serve() does
  /// not return.
  bool take_over();
  /// Who has taken over: reads one frame; false when there will be no more, or none until `deadline`.
  bool read_one(const SteadyTime& deadline);
  /// Whoever had taken over does not read any more. Does nothing when nobody had.
  void give_back();
  /// Ends the connection; whoever reads sees it. From any thread.
  void end() { channel_.shut_down(); }

 private:
  void step(const SteadyTime* deadline);
  bool comes(int milliseconds) const;

  Channel& channel_;
  FrameReader& reader_;
  const std::function<Result<void>(const Frame&)> take_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  bool taken_ = false;           ///< guarded by mutex_
  std::optional<Error> failed_;  ///< belongs to whoever reads, as the reader does
};

}  // namespace caravan::fabric::worker
