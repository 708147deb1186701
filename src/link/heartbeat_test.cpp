#include "link/heartbeat.h"

#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>

namespace caravan::link {
namespace {

using namespace std::chrono_literals;

using Milliseconds = std::chrono::duration<double, std::milli>;

/// Time that passes only when a test says so, a heart, and what it did.
class Bench {
 public:
  std::vector<std::string> log;
  TimePoint now{};
  Heartbeat heart{now};
  std::uint64_t last_ping = 0;

  void deliver(const Heartbeat::Event& event) {
    for (const Heartbeat::Action& action : heart.on(event, now)) {
      if (const auto* ping = std::get_if<Heartbeat::SendPing>(&action)) {
        last_ping = ping->sequence;
        log.push_back("ping " + std::to_string(ping->sequence));
      } else {
        log.emplace_back(name_of(std::get<Heartbeat::Change>(action).to));
      }
    }
  }
  /// Ticks at each deadline until `span` has passed.
  void pass(Clock::duration span) {
    const TimePoint end = now + span;
    while (heart.next_deadline() <= end) {
      now = heart.next_deadline();
      deliver(Heartbeat::Tick{});
    }
    now = end;
  }
};

TEST(Heartbeat, PingsEverySecondWithNewNumbers) {
  Bench bench;
  for (int i = 0; i < 3; ++i) {
    bench.pass(i == 0 ? 0ms : 1000ms);
    bench.deliver(Heartbeat::Pong{bench.last_ping});
  }
  EXPECT_EQ(bench.log, (std::vector<std::string>{"ping 1", "ping 2", "ping 3"}));
}

TEST(Heartbeat, SilenceIsSuspectAfterThreeSecondsAndLostAfterSix) {
  Bench bench;
  bench.pass(2999ms);
  EXPECT_EQ(bench.heart.liveness(), Liveness::alive);
  bench.pass(1ms);
  EXPECT_EQ(bench.heart.liveness(), Liveness::suspect);
  bench.pass(2999ms);
  EXPECT_EQ(bench.heart.liveness(), Liveness::suspect);
  bench.pass(1ms);
  EXPECT_EQ(bench.heart.liveness(), Liveness::lost);
  EXPECT_EQ(bench.log, (std::vector<std::string>{"ping 1", "ping 2", "ping 3", "suspect", "ping 4", "ping 5",
                                                 "ping 6", "lost"}));
  EXPECT_EQ(bench.heart.next_deadline(), TimePoint::max());
}

TEST(Heartbeat, LostIsFinal) {
  Bench bench;
  bench.pass(6s);
  bench.log.clear();
  bench.deliver(Heartbeat::Heard{});
  bench.deliver(Heartbeat::Pong{1});
  bench.deliver(Heartbeat::Tick{});
  EXPECT_TRUE(bench.log.empty());
  EXPECT_EQ(bench.heart.liveness(), Liveness::lost);
}

TEST(Heartbeat, AnythingThatArrivesProvesLife) {
  Bench bench;
  bench.pass(4s);
  ASSERT_EQ(bench.heart.liveness(), Liveness::suspect);
  bench.deliver(Heartbeat::Heard{});
  EXPECT_EQ(bench.heart.liveness(), Liveness::alive);
  EXPECT_EQ(bench.log.back(), "alive");
  bench.pass(2999ms);
  EXPECT_EQ(bench.heart.liveness(), Liveness::alive);
  EXPECT_FALSE(bench.heart.round_trip().has_value()) << "what is no answer is no sample";
}

TEST(Heartbeat, RoundTripsAreCountedOnceAndOnlyOfWhatWasAsked) {
  Bench bench;
  bench.pass(0ms);
  bench.now += 20ms;
  bench.deliver(Heartbeat::Pong{1});
  bench.now += 20ms;
  bench.deliver(Heartbeat::Pong{1});
  bench.deliver(Heartbeat::Pong{77});
  const auto round_trip = bench.heart.round_trip();
  ASSERT_TRUE(round_trip.has_value());
  EXPECT_EQ(round_trip->samples, 1U);
  EXPECT_DOUBLE_EQ(Milliseconds(round_trip->median).count(), 20.0);
}

TEST(Heartbeat, RoundTripIsOfTheLastMinuteAndItsWorstIsSeen) {
  Bench bench;
  for (int i = 1; i <= 100; ++i) {
    const bool slow = i % 10 == 0;
    bench.pass(bench.heart.next_deadline() - bench.now);  // a ping leaves
    bench.now += i <= 40 ? 500ms : slow ? 90ms : 10ms;    // the first 40 are forgotten
    bench.deliver(Heartbeat::Pong{bench.last_ping});
  }
  const auto round_trip = bench.heart.round_trip();
  ASSERT_TRUE(round_trip.has_value());
  EXPECT_EQ(round_trip->samples, 60U);
  EXPECT_DOUBLE_EQ(Milliseconds(round_trip->median).count(), 10.0);
  EXPECT_DOUBLE_EQ(Milliseconds(round_trip->p95).count(), 90.0);
}

TEST(Heartbeat, OurOwnStallIsNotTheOthersSilence) {
  Bench bench;
  bench.pass(500ms);
  bench.deliver(Heartbeat::Heard{});
  bench.now += 20s;  // frozen by the system: no tick, nothing read
  bench.deliver(Heartbeat::Tick{});
  EXPECT_EQ(bench.heart.liveness(), Liveness::alive);
  bench.pass(6s);
  EXPECT_EQ(bench.heart.liveness(), Liveness::lost) << "but one that really is gone is still found";
}

TEST(Heartbeat, ALoopThatIsAlwaysLateStillFindsTheDead) {
  Bench bench;
  for (int i = 0; i < 100 && bench.heart.liveness() != Liveness::lost; ++i) {
    bench.now = bench.heart.next_deadline() + 700ms;
    bench.deliver(Heartbeat::Tick{});
  }
  EXPECT_EQ(bench.heart.liveness(), Liveness::lost);
}

TEST(Heartbeat, TicksTooEarlyAndStormsChangeNothing) {
  Bench bench;
  bench.pass(0ms);
  const TimePoint due = bench.heart.next_deadline();
  for (int i = 0; i < 1000; ++i) bench.deliver(Heartbeat::Tick{});
  EXPECT_EQ(bench.log.size(), 1U);
  EXPECT_EQ(bench.heart.next_deadline(), due);
}

/// Bad Wi-Fi under TCP: jitter, repetitions after 200 ms and their double, a channel scan of up to 1.5 s now
/// and then, and nothing overtakes what was sent before it.
class Air {
 public:
  explicit Air(std::uint32_t seed) : random_(seed) {}

  TimePoint arrival(TimePoint sent) {
    std::exponential_distribution<double> jitter(1.0 / 8.0);
    std::uniform_real_distribution<double> chance(0.0, 1.0);
    double delay = 3.0 + jitter(random_);
    for (double again = 200.0; again < 500.0 && chance(random_) < 0.02; again *= 2) delay += again;
    if (chance(random_) < 0.003) delay += 1500.0 * chance(random_);
    last_ = std::max(last_, sent + std::chrono::duration_cast<Clock::duration>(Milliseconds(delay)));
    return last_;
  }

 private:
  std::mt19937 random_;
  TimePoint last_{};
};

TEST(Heartbeat, NoFalseAlarmInADayOfBadWifi) {
  Bench bench;
  Air there(1);
  Air back(2);
  std::multimap<TimePoint, std::uint64_t> pongs;
  std::uint64_t asked = 0;
  const TimePoint end = bench.now + 24h;
  while (bench.now < end) {
    const bool pong_first = !pongs.empty() && pongs.begin()->first <= bench.heart.next_deadline();
    if (pong_first) {
      bench.now = std::max(bench.now, pongs.begin()->first);
      const std::uint64_t sequence = pongs.begin()->second;
      pongs.erase(pongs.begin());
      bench.deliver(Heartbeat::Pong{sequence});
    } else {
      bench.now = bench.heart.next_deadline();
      bench.deliver(Heartbeat::Tick{});
    }
    ASSERT_EQ(bench.heart.liveness(), Liveness::alive) << "after " << (bench.now - TimePoint{}) / 1s << " s";
    if (std::exchange(asked, bench.last_ping) != bench.last_ping) {
      pongs.emplace(back.arrival(there.arrival(bench.now)), bench.last_ping);
    }
  }
  EXPECT_GT(asked, 80'000U);
  const auto round_trip = bench.heart.round_trip();
  ASSERT_TRUE(round_trip.has_value());
  EXPECT_LT(Milliseconds(round_trip->median).count(), 100.0);
}

}  // namespace
}  // namespace caravan::link
