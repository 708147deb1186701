#include "lab/medium.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace caravan::lab {

using std::chrono::nanoseconds;

namespace {

constexpr int kMaxAttempts = 7;        // 802.11's default short retry limit
constexpr double kMaxJitters = 8;      // times the mean
constexpr double kMinMegabits = 1e-3;  // a rate of nothing would never end

nanoseconds from_microseconds(double value) { return nanoseconds(static_cast<std::int64_t>(value * 1e3)); }

}  // namespace

Medium::Medium(Topology topology, const Link& link, std::size_t stations, std::uint64_t seed)
    : topology_(topology),
      stations_(stations, Station{.link = link}),
      queues_(2 * stations),
      last_deliveries_(stations * stations),
      random_(seed) {
  if (topology == Topology::switched) {
    channels_.resize(queues_.size());
    for (std::size_t queue = 0; queue < queues_.size(); ++queue) {
      channels_[queue].transmitters.push_back(Transmitter{.queues = {queue}});
    }
    return;
  }
  Transmitter access_point;
  channels_.resize(1);
  for (std::size_t station = 0; station < stations; ++station) {
    channels_[0].transmitters.push_back(Transmitter{.queues = {station}});
    access_point.queues.push_back(stations + station);
  }
  channels_[0].transmitters.push_back(std::move(access_point));
}

void Medium::send(const Packet& packet, TimePoint now) {
  settle(now);
  if (stations_[packet.from].vanished) return drop(packet, Fate::vanished, now);
  enqueue(packet.from, packet, now);
  start(channel_of(packet.from), now);
}

std::vector<Outcome> Medium::advance(TimePoint now) {
  settle(now);
  const auto later = [](const Delivery& a, const Delivery& b) {
    return std::pair(a.at, a.sequence) > std::pair(b.at, b.sequence);
  };
  while (!deliveries_.empty() && deliveries_.front().at <= now) {
    std::pop_heap(deliveries_.begin(), deliveries_.end(), later);
    const Delivery delivery = deliveries_.back();
    deliveries_.pop_back();
    const Fate fate = stations_[delivery.packet.to].vanished ? Fate::vanished : Fate::delivered;
    outcomes_.push_back({delivery.packet, fate, delivery.at});
  }
  std::vector<Outcome> outcomes = std::exchange(outcomes_, {});
  std::stable_sort(outcomes.begin(), outcomes.end(),
                   [](const Outcome& a, const Outcome& b) { return a.at < b.at; });
  return outcomes;
}

std::optional<TimePoint> Medium::next_deadline() const {
  std::optional<TimePoint> earliest;
  const auto consider = [&earliest](TimePoint at) { earliest = earliest ? std::min(*earliest, at) : at; };
  for (const Channel& channel : channels_) {
    if (!channel.sending.empty()) consider(channel.done);
  }
  if (!deliveries_.empty()) consider(deliveries_.front().at);
  if (!outcomes_.empty()) consider(outcomes_.front().at);
  return earliest;
}

void Medium::vanish(std::size_t station, TimePoint now) {
  settle(now);
  stations_[station].vanished = true;
  stations_[station].frozen = false;
  for (Queue* queue : {&queues_[station], &queues_[stations() + station]}) {
    for (const Packet& packet : queue->packets) drop(packet, Fate::vanished, now);
    *queue = {};
  }
}

void Medium::freeze(std::size_t station, TimePoint now) {
  settle(now);
  stations_[station].frozen = true;
}

void Medium::restore(std::size_t station, TimePoint now) {
  settle(now);
  stations_[station].vanished = false;
  stations_[station].frozen = false;
  for (const std::size_t queue : {station, stations() + station}) start(channel_of(queue), now);
}

void Medium::set_link(std::size_t station, const Link& link, TimePoint now) {
  settle(now);
  stations_[station].link = link;
}

/// Ends every transmission that is over by `now`, in order of time: what ends one begins another.
void Medium::settle(TimePoint now) {
  while (true) {
    Channel* first = nullptr;
    for (Channel& channel : channels_) {
      if (channel.sending.empty() || channel.done > now) continue;
      if (first == nullptr || channel.done < first->done) first = &channel;
    }
    if (first == nullptr) return;
    finish(*first);
  }
}

void Medium::enqueue(std::size_t queue, const Packet& packet, TimePoint now) {
  Queue& waiting = queues_[queue];
  if (waiting.bytes + packet.bytes > stations_[station_of(queue)].link.queue.count) {
    return drop(packet, Fate::queue_full, now);
  }
  waiting.packets.push_back(packet);
  waiting.bytes += packet.bytes;
}

/// Gives the channel to the next transmitter that has something, if it is free.
void Medium::start(Channel& channel, TimePoint now) {
  if (!channel.sending.empty()) return;
  const std::optional<std::size_t> queue = next_queue(channel);
  if (!queue) return;
  Queue& waiting = queues_[*queue];
  const Link& link = stations_[station_of(*queue)].link;
  const std::size_t target = waiting.packets.front().to;
  std::uint64_t bytes = 0;
  while (!waiting.packets.empty()) {
    const Packet& packet = waiting.packets.front();
    const std::uint64_t framed = packet.bytes + link.framing.count;
    const bool fits = bytes == 0 || (bytes + framed <= link.aggregate.count && packet.to == target);
    if (!fits) break;
    bytes += framed;
    waiting.bytes -= packet.bytes;
    channel.sending.push_back(packet);
    waiting.packets.pop_front();
  }
  channel.queue = *queue;
  channel.done = now + duration(link, bytes);
}

void Medium::finish(Channel& channel) {
  const std::vector<Packet> packets = std::exchange(channel.sending, {});
  const TimePoint now = channel.done;
  const bool to_station = channel.queue >= stations();
  const Link& link = stations_[station_of(channel.queue)].link;
  for (const Packet& packet : packets) {
    if (stations_[packet.from].vanished || stations_[packet.to].vanished) {
      drop(packet, Fate::vanished, now);
    } else if (chance() < link.loss) {
      drop(packet, Fate::lost, now);
    } else if (to_station) {
      deliver(packet, now);
    } else {
      enqueue(stations() + packet.to, packet, now);
    }
  }
  // Only now, so that what came together can go on together.
  if (!to_station) start(channel_of(stations() + packets.front().to), now);
  start(channel, now);
}

/// The packet is through the air; what is left is the delay of drivers and interrupts.
void Medium::deliver(const Packet& packet, TimePoint now) {
  const Link& from = stations_[packet.from].link;
  const Link& to = stations_[packet.to].link;
  const double exponential = std::min(-std::log1p(-chance()), kMaxJitters);
  const nanoseconds mean = (from.jitter + to.jitter) / 2;
  const nanoseconds jitter(static_cast<std::int64_t>(static_cast<double>(mean.count()) * exponential));
  TimePoint& last = last_deliveries_[packet.from * stations() + packet.to];
  last = std::max(last, now + (from.delay + to.delay) / 2 + jitter);
  deliveries_.push_back({packet, last, sequence_++});
  std::push_heap(deliveries_.begin(), deliveries_.end(), [](const Delivery& a, const Delivery& b) {
    return std::pair(a.at, a.sequence) > std::pair(b.at, b.sequence);
  });
}

void Medium::drop(const Packet& packet, Fate fate, TimePoint now) {
  outcomes_.push_back({packet, fate, now});
}

/// The queue whose turn it is: transmitters in turn, and the queues of each in turn.
std::optional<std::size_t> Medium::next_queue(Channel& channel) {
  for (std::size_t i = 0; i < channel.transmitters.size(); ++i) {
    Transmitter& transmitter = channel.transmitters[channel.next];
    channel.next = (channel.next + 1) % channel.transmitters.size();
    for (std::size_t k = 0; k < transmitter.queues.size(); ++k) {
      const std::size_t queue = transmitter.queues[transmitter.next];
      transmitter.next = (transmitter.next + 1) % transmitter.queues.size();
      if (!queues_[queue].packets.empty() && !stations_[station_of(queue)].frozen) return queue;
    }
  }
  return std::nullopt;
}

nanoseconds Medium::duration(const Link& link, std::uint64_t bytes) {
  int attempts = 1;
  while (attempts < kMaxAttempts && chance() < link.retry) ++attempts;
  const double on_air = static_cast<double>(bytes) * 8 / std::max(link.megabits, kMinMegabits);
  return attempts * (link.overhead + from_microseconds(on_air));
}

/// In [0, 1). Not a distribution of the standard library: those differ between libraries.
double Medium::chance() { return static_cast<double>(random_() >> 11U) * 0x1.0p-53; }

}  // namespace caravan::lab
