// Frames from the thread that reads to the thread that computes, bounded.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "fabric/net/frame_reader.h"

namespace caravan::fabric::worker {

class CommandQueue {
 public:
  /// `limit`: bytes that may wait; one frame more than that is taken when nothing waits.
  explicit CommandQueue(std::uint64_t limit) : limit_(limit) {}

  /// Blocks while the queue is full; false when nobody takes any more.
  bool push(Frame frame);
  /// Nothing more comes, for this reason; what is there is still taken.
  void end(Error why);
  /// Throws away all that waits, but for frames of this type at the front.
  void keep_first(Type type);
  /// Nothing more is taken: what is there is thrown away.
  void abandon();
  /// Blocks until there is one; nothing at the end, or when abandoned.
  std::optional<Frame> pop();
  /// After the end: why.
  Error why() const;

 private:
  const std::uint64_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Frame> frames_;
  std::uint64_t held_ = 0;
  std::optional<Error> end_;
  bool abandoned_ = false;
};

}  // namespace caravan::fabric::worker
