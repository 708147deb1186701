#include "fabric/worker/inlet.h"

#include <poll.h>

namespace caravan::fabric::worker {

Inlet::Inlet(Channel& channel, FrameReader& reader, std::function<Result<void>(const Frame&)> take)
    : channel_(channel), reader_(reader), take_(std::move(take)) {}

bool Inlet::comes(int milliseconds) const {
  pollfd one{channel_.fd(), POLLIN, 0};
  return poll(&one, 1, milliseconds) != 0;
}

void Inlet::step(const SteadyTime* deadline) {
  const auto frame = reader_.next(deadline);
  const auto taken = frame ? take_(*frame) : Result<void>(frame.error());
  if (!taken) failed_ = taken.error();
}

Error Inlet::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    given_back_.wait(lock, [this] { return !taken_; });
    if (failed_) return *failed_;
    if (!reader_.has_some()) {
      lock.unlock();
      (void)comes(-1);
      lock.lock();
      // Somebody may have taken over meanwhile, and even have given back again what it has read.
      if (taken_ || (!reader_.has_some() && !comes(0))) continue;
    }
    step(nullptr);
  }
}

bool Inlet::take_over() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  if (failed_) return false;
  taken_ = true;
  // Its own thread may be about to wait for the channel: nothing may be gone from there but what is taken.
  reader_.read_ahead(false);
  return true;
}

bool Inlet::read_one(const SteadyTime& deadline) {
  if (!failed_) step(&deadline);
  return !failed_;
}

void Inlet::give_back() {
  const std::scoped_lock lock(mutex_);
  taken_ = false;
  reader_.read_ahead(true);
  given_back_.notify_all();
}

}  // namespace caravan::fabric::worker
