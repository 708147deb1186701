#include "fabric/worker/mailbox.h"

#include <fmt/format.h>

namespace caravan::fabric::worker {
namespace {

Error gone() { return {Code::interrupted, "the master is gone", ""}; }
Error other_session() {
  return {Code::disconnected, "a hand-off of a master that is not this worker's", "start the plan again"};
}

}  // namespace

void Mailbox::open(std::uint64_t session) {
  const std::scoped_lock lock(mutex_);
  session_ = session;
  for (auto each = parcels_.begin(); each != parcels_.end();) {
    if (each->first.session == session) {
      ++each;
      continue;
    }
    held_ -= each->second.total;
    each = parcels_.erase(each);
  }
  changed_.notify_all();
}

void Mailbox::close() {
  const std::scoped_lock lock(mutex_);
  session_.reset();
  parcels_.clear();
  held_ = 0;
  ++closed_;
  changed_.notify_all();
}

std::uint64_t Mailbox::held() const {
  const std::scoped_lock lock(mutex_);
  return held_;
}

int Mailbox::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_;
}

Result<void> Mailbox::start(const ParcelName& name, const HandOff& chunk,
                            std::unique_lock<std::mutex>& lock) {
  if (chunk.offset != 0) return Error{Code::invalid, "a hand-off that begins in its middle", ""};
  if (chunk.total > limits_.bytes)
    return Error{Code::exhausted,
                 fmt::format("a hand-off of {} bytes, {} are allowed", chunk.total, limits_.bytes),
                 "use a smaller micro-batch"};
  const std::uint64_t closed = closed_;
  ++waiting_;
  changed_.wait(lock, [&] {
    return closed_ != closed || (session_ && *session_ != name.session) ||
           (chunk.total <= room() && parcels_.size() < limits_.parcels);
  });
  --waiting_;
  if (closed_ != closed) return gone();
  if (session_ && *session_ != name.session) return other_session();
  Incoming& incoming = parcels_[name];
  incoming.parcel.format = chunk.format;
  incoming.total = chunk.total;
  held_ += chunk.total;
  return {};
}

Result<void> Mailbox::put(const ParcelName& name, const HandOff& chunk) {
  std::unique_lock lock(mutex_);
  if (session_ && *session_ != name.session) return other_session();
  auto found = parcels_.find(name);
  if (found == parcels_.end()) {
    if (const auto started = start(name, chunk, lock); !started) return started.error();
    found = parcels_.find(name);
  }
  Incoming& incoming = found->second;
  const bool follows = chunk.offset == incoming.parcel.bytes.size() && chunk.total == incoming.total &&
                       chunk.format == incoming.parcel.format;
  // A whole parcel of no bytes may not come again either.
  if (!follows || (incoming.whole() && incoming.total != 0))
    return Error{Code::invalid, fmt::format("the tag {} is in use", name.tag),
                 "update Caravan on the master"};
  incoming.parcel.bytes.append(chunk.data);
  if (incoming.whole()) changed_.notify_all();
  return {};
}

Result<Parcel> Mailbox::take(const ParcelName& name, SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  // It may have gone between the command and this.
  if (session_ != name.session) return gone();
  const std::uint64_t closed = closed_;
  const auto is_there = [&] {
    const auto found = parcels_.find(name);
    return found != parcels_.end() && found->second.whole();
  };
  ++waiting_;
  const bool in_time = changed_.wait_until(lock, deadline, [&] { return closed_ != closed || is_there(); });
  --waiting_;
  if (closed_ != closed) return gone();
  if (!in_time)
    return Error{Code::unavailable, fmt::format("stage {} did not hand over in time", name.stage),
                 "check that its device still runs"};
  const auto found = parcels_.find(name);
  Parcel parcel = std::move(found->second.parcel);
  held_ -= found->second.total;
  parcels_.erase(found);
  changed_.notify_all();
  return parcel;
}

}  // namespace caravan::fabric::worker
