#include "link/heartbeat.h"

#include <algorithm>

namespace caravan::link {
namespace {

constexpr std::size_t kSamples = 60;
constexpr std::size_t kWaiting = 16;  ///< more than can be sent before the device is lost

/// A Tick that comes later than this shows that we ourselves stood still: suspended, or out of processor
/// time. What arrived meanwhile is still unread, so that time says nothing about the other device.
constexpr std::chrono::milliseconds kOwnStall{500};

}  // namespace

std::string_view name_of(Liveness liveness) {
  switch (liveness) {
    case Liveness::alive:
      return "alive";
    case Liveness::suspect:
      return "suspect";
    case Liveness::lost:
      return "lost";
  }
  return "";
}

Heartbeat::Heartbeat(TimePoint now, HeartbeatTimes times)
    : times_(times), last_heard_(now), next_ping_(now) {}

std::vector<Heartbeat::Action> Heartbeat::on(const Event& event, TimePoint now) {
  std::vector<Action> actions;
  if (liveness_ == Liveness::lost) return actions;
  if (const auto* pong = std::get_if<Pong>(&event)) {
    answered(pong->sequence, now);
    heard(now, actions);
  } else if (std::holds_alternative<Heard>(event)) {
    heard(now, actions);
  } else {
    tick(now, actions);
  }
  return actions;
}

void Heartbeat::heard(TimePoint now, std::vector<Action>& actions) {
  last_heard_ = std::max(last_heard_, now);
  if (liveness_ != Liveness::suspect) return;
  liveness_ = Liveness::alive;
  actions.emplace_back(Change{Liveness::alive});
}

/// An answer to nothing that we asked, or a second one, is no sample.
void Heartbeat::answered(std::uint64_t sequence, TimePoint now) {
  const auto ping = std::find_if(waiting_.begin(), waiting_.end(),
                                 [sequence](const Ping& sent) { return sent.sequence == sequence; });
  if (ping == waiting_.end()) return;
  samples_.emplace_back(now - ping->sent);
  if (samples_.size() > kSamples) samples_.pop_front();
  waiting_.erase(ping);
}

void Heartbeat::tick(TimePoint now, std::vector<Action>& actions) {
  const Clock::duration late = now - next_deadline();
  if (late < Clock::duration::zero()) return;
  if (late > kOwnStall) last_heard_ += late;
  judge(now, actions);
  if (liveness_ == Liveness::lost || now < next_ping_) return;
  next_ping_ = std::max(next_ping_ + times_.interval, now + times_.interval / 2);
  waiting_.push_back({++sequence_, now});
  if (waiting_.size() > kWaiting) waiting_.pop_front();
  actions.emplace_back(SendPing{sequence_});
}

void Heartbeat::judge(TimePoint now, std::vector<Action>& actions) {
  const Clock::duration silent = silence(now);
  const Liveness verdict = silent >= times_.lost      ? Liveness::lost
                           : silent >= times_.suspect ? Liveness::suspect
                                                      : Liveness::alive;
  if (verdict == liveness_) return;
  liveness_ = verdict;
  actions.emplace_back(Change{verdict});
}

TimePoint Heartbeat::next_deadline() const {
  if (liveness_ == Liveness::lost) return TimePoint::max();
  const auto patience = liveness_ == Liveness::alive ? times_.suspect : times_.lost;
  return std::min(next_ping_, last_heard_ + patience);
}

std::optional<RoundTrip> Heartbeat::round_trip() const {
  if (samples_.empty()) return std::nullopt;
  const std::vector<Seconds> samples(samples_.begin(), samples_.end());
  return RoundTrip{percentile(samples, 0.5), percentile(samples, 0.95), samples.size()};
}

}  // namespace caravan::link
