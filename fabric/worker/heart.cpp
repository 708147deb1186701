#include "fabric/worker/heart.h"

namespace caravan::fabric::worker {

Heart::~Heart() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Heart::set(Milliseconds interval) {
  const std::scoped_lock lock(mutex_);
  interval_ = interval;
  ++changes_;
  changed_.notify_all();
  if (!thread_.joinable() && interval.count() > 0) thread_ = std::thread([this] { live(); });
}

void Heart::live() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    const unsigned seen = changes_;
    const auto changed = [&] { return over_ || changes_ != seen; };
    if (interval_.count() == 0) {
      changed_.wait(lock, changed);
      continue;
    }
    if (changed_.wait_for(lock, interval_, changed)) continue;
    lock.unlock();
    beat_();
    lock.lock();
  }
}

}  // namespace caravan::fabric::worker
