// What lies between the stations of a lab, the air or a switch: who may send when, how long it takes, what is
// lost. Pure: time is given, chance comes from a seed; knows nothing of sockets, clocks and packets'
// contents.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "base/units.h"

namespace caravan::lab {

enum class Topology {
  shared,  ///< one access point, half duplex: A→B takes two transmissions, A→AP and AP→B, on one channel
  switched,  ///< a cable to a switch for each station, full duplex: each direction is a channel of its own
};

/// How one station is connected. All of it may change while packets are under way; what has begun goes on as
/// it was.
struct Link {
  double megabits = 100;                 ///< bits a microsecond while a transmission lasts
  std::chrono::nanoseconds overhead{0};  ///< of each transmission: contention, preamble, acknowledgement
  Bytes framing{0};                      ///< added to each packet: headers, checksum, gaps
  Bytes aggregate{0};  ///< what one transmission may carry of packets to one station; one packet always goes
  double retry = 0;    ///< chance that a transmission fails and is repeated at its full price
  std::chrono::nanoseconds delay{0};   ///< one way, besides what the transmissions take
  std::chrono::nanoseconds jitter{0};  ///< mean of what is added to it, exponential, at most 8 times the mean
  double loss = 0;  ///< chance that a packet is lost on this station's hop although it was repeated
  Bytes queue{0};  ///< limit of each of the two queues, towards and from the station; what is more is dropped
};

struct Packet {
  std::uint32_t id = 0;  ///< the caller's; comes back once, in an Outcome
  std::size_t from = 0;  ///< stations count from 0
  std::size_t to = 0;
  std::size_t bytes = 0;
};

enum class Fate { delivered, lost, queue_full, vanished };

struct Outcome {
  Packet packet;
  Fate fate = Fate::delivered;
  TimePoint at;  ///< when it should have arrived or was dropped; never later than the `now` it is handed out
};

/// Packets of one pair of stations never overtake each other. A transmitter that has the channel sends what
/// it has for one station, up to its aggregate; then it is the next one's turn. The access point has one
/// turn, like each station, and gives it to its stations in turn: so it is the bottleneck when many send (as
/// in 802.11's DCF). Not thread-safe; `now` never goes back.
class Medium {
 public:
  Medium(Topology topology, const Link& link, std::size_t stations, std::uint64_t seed);

  void send(const Packet& packet, TimePoint now);
  /// What has become of packets up to `now`, in order of time.
  std::vector<Outcome> advance(TimePoint now);
  /// When to call advance() next; nothing: not before somebody sends.
  std::optional<TimePoint> next_deadline() const;

  /// From now on whatever comes from or goes to the station is dropped, also what waits.
  void vanish(std::size_t station, TimePoint now);
  /// From now on whatever comes from or goes to the station waits, up to its queues' limits, as an access
  /// point keeps frames for a station that sleeps.
  void freeze(std::size_t station, TimePoint now);
  void restore(std::size_t station, TimePoint now);

  void set_link(std::size_t station, const Link& link, TimePoint now);
  const Link& link(std::size_t station) const { return stations_[station].link; }
  std::size_t stations() const { return stations_.size(); }
  Topology topology() const { return topology_; }

 private:
  struct Station {
    Link link;
    bool vanished = false;
    bool frozen = false;
  };
  /// Queue s is what station s sends, queue stations() + s what is sent to it.
  struct Queue {
    std::deque<Packet> packets;
    std::uint64_t bytes = 0;
  };
  struct Transmitter {
    std::vector<std::size_t> queues;
    std::size_t next = 0;
  };
  struct Channel {
    std::vector<Transmitter> transmitters;
    std::size_t next = 0;
    std::vector<Packet> sending;  ///< nothing: the channel is free
    std::size_t queue = 0;        ///< where `sending` was taken from
    TimePoint done;
  };
  struct Delivery {
    Packet packet;
    TimePoint at;
    std::uint64_t sequence = 0;
  };

  void settle(TimePoint now);
  void enqueue(std::size_t queue, const Packet& packet, TimePoint now);
  void start(Channel& channel, TimePoint now);
  void finish(Channel& channel);
  void deliver(const Packet& packet, TimePoint now);
  void drop(const Packet& packet, Fate fate, TimePoint now);
  std::optional<std::size_t> next_queue(Channel& channel);
  std::chrono::nanoseconds duration(const Link& link, std::uint64_t bytes);
  std::size_t station_of(std::size_t queue) const { return queue % stations_.size(); }
  Channel& channel_of(std::size_t queue) { return channels_[topology_ == Topology::shared ? 0 : queue]; }
  double chance();

  Topology topology_;
  std::vector<Station> stations_;
  std::vector<Queue> queues_;
  std::vector<Channel> channels_;
  std::vector<TimePoint> last_deliveries_;  ///< of each pair: from * stations() + to
  std::vector<Delivery> deliveries_;        ///< a heap, the next one first
  std::vector<Outcome> outcomes_;
  std::uint64_t sequence_ = 0;
  std::mt19937_64 random_;
};

}  // namespace caravan::lab
