// Is the other device still there, and how far away is it? Pure: told what arrived and when, it says when to
// ping and what to think of a silence.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/units.h"
#include "link/link_speed.h"

namespace caravan::link {

struct HeartbeatTimes {
  std::chrono::milliseconds interval{1000};  ///< between pings
  std::chrono::milliseconds suspect{3000};   ///< of silence
  std::chrono::milliseconds lost{6000};      ///< of silence
};

enum class Liveness { alive, suspect, lost };
std::string_view name_of(Liveness liveness);

/// Over the last minute's answered pings.
struct RoundTrip {
  Seconds median{};
  Seconds p95{};
  std::size_t samples = 0;
};

/// One device's heart, as seen from here. Anything that arrives proves life, not only answers to pings. Lost
/// is final: a device that comes back does so over a new session with a new Heartbeat.
class Heartbeat {
 public:
  struct Heard {};  ///< any bytes of the device, a tunnel's too
  struct Pong {
    std::uint64_t sequence = 0;
  };
  struct Tick {};  ///< next_deadline() has come
  using Event = std::variant<Heard, Pong, Tick>;

  struct SendPing {
    std::uint64_t sequence = 0;
  };
  struct Change {
    Liveness to = Liveness::alive;
  };
  using Action = std::variant<SendPing, Change>;

  explicit Heartbeat(TimePoint now, HeartbeatTimes times = {});

  std::vector<Action> on(const Event& event, TimePoint now);
  /// When a Tick is due; an event may move it later, never earlier. TimePoint::max() once lost.
  TimePoint next_deadline() const;

  Liveness liveness() const { return liveness_; }
  Clock::duration silence(TimePoint now) const { return now - last_heard_; }
  /// Nothing before the first answer.
  std::optional<RoundTrip> round_trip() const;

 private:
  struct Ping {
    std::uint64_t sequence;
    TimePoint sent;
  };

  void heard(TimePoint now, std::vector<Action>& actions);
  void answered(std::uint64_t sequence, TimePoint now);
  void tick(TimePoint now, std::vector<Action>& actions);
  void judge(TimePoint now, std::vector<Action>& actions);

  HeartbeatTimes times_;
  Liveness liveness_ = Liveness::alive;
  TimePoint last_heard_;
  TimePoint next_ping_;
  std::uint64_t sequence_ = 0;   ///< of the last ping
  std::deque<Ping> waiting_;     ///< pings without an answer, oldest first
  std::deque<Seconds> samples_;  ///< newest last
};

}  // namespace caravan::link
