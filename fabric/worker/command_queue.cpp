#include "fabric/worker/command_queue.h"

#include <algorithm>

namespace caravan::fabric::worker {
namespace {

std::uint64_t size_of(const Frame& frame) { return frame.payload.size() + sizeof(Frame); }

}  // namespace

bool CommandQueue::push(Frame frame) {
  std::unique_lock lock(mutex_);
  const std::uint64_t size = size_of(frame);
  changed_.wait(lock, [&] { return abandoned_ || frames_.empty() || held_ + size <= limit_; });
  if (abandoned_) return false;
  held_ += size;
  frames_.push_back(std::move(frame));
  changed_.notify_all();
  return true;
}

void CommandQueue::end(Error why) {
  const std::scoped_lock lock(mutex_);
  end_ = std::move(why);
  changed_.notify_all();
}

void CommandQueue::keep_first(Type type) {
  const std::scoped_lock lock(mutex_);
  const auto other =
      std::find_if(frames_.begin(), frames_.end(), [type](const Frame& frame) { return frame.type != type; });
  frames_.erase(other, frames_.end());
  held_ = 0;
  for (const Frame& frame : frames_) held_ += size_of(frame);
  changed_.notify_all();
}

void CommandQueue::abandon() {
  const std::scoped_lock lock(mutex_);
  abandoned_ = true;
  frames_.clear();
  held_ = 0;
  changed_.notify_all();
}

std::optional<Frame> CommandQueue::pop() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return abandoned_ || end_ || !frames_.empty(); });
  if (frames_.empty()) return std::nullopt;
  Frame frame = std::move(frames_.front());
  frames_.pop_front();
  held_ -= size_of(frame);
  changed_.notify_all();
  return frame;
}

Error CommandQueue::why() const {
  const std::scoped_lock lock(mutex_);
  return end_.value_or(Error{Code::interrupted, "the worker stops", ""});
}

}  // namespace caravan::fabric::worker
