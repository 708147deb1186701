#include "link/discovery.h"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace caravan::link {
namespace {

using namespace asio::experimental::awaitable_operators;

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

/// Of the jitter: differs between devices, and is the same for one of them.
std::uint32_t seed_of(const std::string& device) {
  std::uint32_t seed = 2166136261U;  // FNV-1a
  for (const char c : device) seed = (seed ^ static_cast<unsigned char>(c)) * 16777619U;
  return seed;
}

}  // namespace

Discovery::Discovery(std::unique_ptr<BeaconSocket> socket, const asio::any_io_executor& executor, Beacon self,
                     std::function<void()> changed, DiscoveryTiming timing)
    : socket_(std::move(socket)),
      timer_(executor),
      self_(std::move(self)),
      changed_(std::move(changed)),
      timing_(timing),
      announcer_(Clock::now(), seed_of(self_.device), timing.announcer),
      limit_(Clock::now(), timing.arrivals),
      neighbours_(self_.device, timing.neighbours),
      rescan_at_(Clock::now() + timing.rescan) {}

asio::awaitable<void> Discovery::run() { co_await (listen(Family::v4) && listen(Family::v6) && tell()); }

void Discovery::stop() {
  stopped_ = true;
  socket_->close();
  timer_.cancel();
}

void Discovery::announce(Beacon self) {
  self.asks = self_.asks;
  self.device = self_.device;
  self_ = std::move(self);
  announcer_.set_busy(self_.pairing_open || self_.asks, Clock::now());
  announcer_.changed(Clock::now());
  timer_.cancel();
}

void Discovery::look(bool looking) {
  self_.asks = looking;
  announcer_.set_busy(self_.pairing_open || looking, Clock::now());
  timer_.cancel();
}

void Discovery::take(const Datagram& datagram) {
  const TimePoint now = Clock::now();
  if (!limit_.admit(datagram.host, now)) return;
  const auto beacon = decode_beacon(datagram.bytes);
  if (!beacon.ok()) return;
  const Heard heard = neighbours_.heard(*beacon, datagram.host, now);
  if (beacon->asks && beacon->device != self_.device) {
    announcer_.asked(now);
    timer_.cancel();
  }
  if (heard == Heard::appeared || heard == Heard::changed) changed_();
}

asio::awaitable<void> Discovery::listen(Family family) {
  while (!stopped_ && socket_->has(family)) {
    const auto datagram = co_await socket_->receive(family);
    if (!datagram.ok()) co_return;
    take(*datagram);
  }
}

TimePoint Discovery::next_deadline() const {
  const TimePoint first = std::min(announcer_.next_deadline(), rescan_at_);
  return std::min(first, neighbours_.next_deadline().value_or(first));
}

asio::awaitable<void> Discovery::tell() {
  while (!stopped_) {
    const TimePoint now = Clock::now();
    if (now >= rescan_at_) {
      if (socket_->rescan()) announcer_.changed(now);
      rescan_at_ = now + timing_.rescan;
    }
    if (announcer_.due(now)) {
      if (const auto bytes = encode_beacon(self_); bytes.ok()) (void)socket_->send(*bytes);
    }
    if (!neighbours_.expire(now).empty()) changed_();
    if (stopped_) co_return;  // `changed` may have said so
    timer_.expires_at(next_deadline());
    auto [cancelled] = co_await timer_.async_wait(kUseResult);
    (void)cancelled;  // something is due earlier, or it is over
  }
}

}  // namespace caravan::link
