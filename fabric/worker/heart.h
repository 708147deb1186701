// Calls a function again and again, on a thread of its own, whatever the other threads do.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "fabric/net/channel.h"

namespace caravan::fabric::worker {

/// set() from one thread; the destructor waits for the end of a call.
class Heart {
 public:
  explicit Heart(std::function<void()> beat) : beat_(std::move(beat)) {}
  Heart(const Heart&) = delete;
  Heart& operator=(const Heart&) = delete;
  ~Heart();

  /// The first call comes one interval from now; 0 stops. The thread begins with the first interval.
  void set(Milliseconds interval);

 private:
  void live();

  const std::function<void()> beat_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Milliseconds interval_{0};
  unsigned changes_ = 0;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace caravan::fabric::worker
