#include "fabric/worker/mailbox.h"

#include <algorithm>

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
  std::erase_if(lost_, [session](const auto& one) { return one.first != session; });
  changed_.notify_all();
}

void Mailbox::lose(std::uint64_t session, std::uint32_t stage) {
  const std::scoped_lock lock(mutex_);
  if ((session_ && *session_ != session) || lost_.size() >= limits_.parcels) return;
  lost_.emplace(session, stage);
  changed_.notify_all();
}

void Mailbox::attach(std::uint64_t session, std::uint32_t stage, Inlet& inlet) {
  const std::scoped_lock lock(mutex_);
  inlets_.emplace(std::pair(session, stage), &inlet);
}

void Mailbox::detach(const Inlet& inlet) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(inlets_, [&inlet](const auto& one) { return one.second == &inlet; });
}

void Mailbox::leave_inlets() {
  std::vector<Inlet*> taken_over;
  {
    const std::scoped_lock lock(mutex_);
    taken_over.swap(taken_over_);
  }
  // Not under the lock: whoever reads an inlet locks it and then this.
  for (Inlet* inlet : taken_over) inlet->give_back();
}

void Mailbox::close() {
  const std::scoped_lock lock(mutex_);
  // Whoever reads one by itself waits for it, and not for what changes here.
  for (const auto& [whose, inlet] : inlets_) {
    if (session_ && whose.first == *session_) inlet->end();
  }
  session_.reset();
  lost_.clear();
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
  lost_.erase({name.session, name.stage});
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

bool Mailbox::is_whole(const ParcelName& name) const {
  const auto found = parcels_.find(name);
  return found != parcels_.end() && found->second.whole();
}

Inlet* Mailbox::take_over(const ParcelName& name) {
  // Under the lock: an inlet that is attached lives, and one that was taken over goes on living.
  const auto found = inlets_.find({name.session, name.stage});
  if (found == inlets_.end()) return nullptr;
  Inlet* const inlet = found->second;
  // Whoever has it does not ask again: its own thread may just be looking whether it may read, in which case
  // it could not be taken, and nobody would read.
  if (std::find(taken_over_.begin(), taken_over_.end(), inlet) != taken_over_.end()) return inlet;
  if (!inlet->take_over()) return nullptr;
  taken_over_.push_back(inlet);
  return inlet;
}

Result<Parcel> Mailbox::take_directly(const ParcelName& name, SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  Inlet* const inlet = session_ == name.session ? take_over(name) : nullptr;
  while (inlet != nullptr && session_ == name.session && !is_whole(name)) {
    lock.unlock();
    const bool more = inlet->read_one(deadline);
    if (!more) leave_inlets();  // its own thread says what is wrong
    lock.lock();
    if (!more) break;
  }
  return wait_for(name, deadline, lock);
}

Result<Parcel> Mailbox::take(const ParcelName& name, SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  return wait_for(name, deadline, lock);
}

Result<Parcel> Mailbox::wait_for(const ParcelName& name, SteadyTime deadline,
                                 std::unique_lock<std::mutex>& lock) {
  // Its master may have gone a moment before, or go while this waits.
  const auto is_over = [&] { return session_ != name.session; };
  const auto is_lost = [&] { return lost_.contains({name.session, name.stage}); };
  ++waiting_;
  const bool in_time =
      changed_.wait_until(lock, deadline, [&] { return is_over() || is_whole(name) || is_lost(); });
  --waiting_;
  if (is_over()) return gone();
  if (in_time && !is_whole(name))
    return Error{Code::disconnected, fmt::format("the connection from stage {} has ended", name.stage),
                 "check that its device still runs"};
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
