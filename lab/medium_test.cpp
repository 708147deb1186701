#include "lab/medium.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/profiles.h"

namespace caravan::lab {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr TimePoint kStart{1h};

/// 80 Mbit/s are 10 bytes a microsecond: 1000 bytes take 100 µs. Nothing is left to chance.
constexpr Link kLink{
    .megabits = 80, .overhead = 50us, .aggregate = Bytes{4000}, .delay = 1ms, .queue = Bytes{100'000}};

class MediumTest : public testing::Test {
 protected:
  void use(Topology topology, const Link& link, std::size_t stations = 3, std::uint64_t seed = 1) {
    medium_ = std::make_unique<Medium>(topology, link, stations, seed);
    outcomes_.clear();
  }

  void send(std::size_t from, std::size_t to, std::size_t bytes = 1000, nanoseconds at = 0ns) {
    medium_->send({.id = next_id_++, .from = from, .to = to, .bytes = bytes}, kStart + at);
  }

  /// Lets time go on from deadline to deadline, as the emulator does.
  void play(nanoseconds until = 100s) {
    while (true) {
      const auto deadline = medium_->next_deadline();
      if (!deadline || *deadline > kStart + until) return;
      for (const Outcome& outcome : medium_->advance(*deadline)) outcomes_.push_back(outcome);
    }
  }

  std::vector<nanoseconds> times(Fate fate) const {
    std::vector<nanoseconds> found;
    for (const Outcome& outcome : outcomes_) {
      if (outcome.fate == fate) found.push_back(outcome.at - kStart);
    }
    return found;
  }
  std::size_t count(Fate fate) const { return times(fate).size(); }

  std::unique_ptr<Medium> medium_;
  std::vector<Outcome> outcomes_;
  std::uint32_t next_id_ = 0;
};

TEST_F(MediumTest, NothingSentIsNothingToWaitFor) {
  use(Topology::shared, kLink);
  EXPECT_EQ(medium_->next_deadline(), std::nullopt);
  EXPECT_TRUE(medium_->advance(kStart + 1h).empty());
}

TEST_F(MediumTest, SharedAirTakesTwoTransmissionsAndTheDelay) {
  use(Topology::shared, kLink);
  send(0, 1);
  play();
  EXPECT_THAT(times(Fate::delivered), testing::ElementsAre(2 * (50us + 100us) + 1ms));
}

TEST_F(MediumTest, ASwitchTakesBothCablesAtOnce) {
  use(Topology::switched, kLink);
  send(0, 1);
  send(1, 0);  // the other way costs the first nothing
  send(2, 1);  // shares the last cable with the first
  play();
  EXPECT_THAT(times(Fate::delivered), testing::ElementsAre(1300us, 1300us, 1450us));
}

TEST_F(MediumTest, SharedAirIsOnePacketAtATime) {
  use(Topology::shared, kLink);
  send(0, 1);
  send(1, 0);
  play();
  // Two up, one after the other; the access point has its turn after both stations.
  EXPECT_THAT(times(Fate::delivered), testing::ElementsAre(450us + 1ms, 600us + 1ms));
}

TEST_F(MediumTest, WhatWaitsTogetherTravelsTogetherUpToTheAggregate) {
  use(Topology::shared, kLink);
  for (int i = 0; i < 6; ++i) send(0, 1);
  play();
  // One alone, since the air was free; then four, then one: and each lot once more from the access point.
  const auto delivered = times(Fate::delivered);
  EXPECT_THAT(delivered, testing::ElementsAre(1300us, 2200us, 2200us, 2200us, 2200us, 2500us));
}

TEST_F(MediumTest, PacketsForDifferentStationsShareNoTransmission) {
  use(Topology::shared, kLink);
  send(0, 1);
  send(0, 1);
  send(0, 2);
  send(0, 1);
  play();
  std::vector<std::uint32_t> order;
  for (const Outcome& outcome : outcomes_) order.push_back(outcome.packet.id);
  EXPECT_EQ(count(Fate::delivered), 4U);
  const auto at = times(Fate::delivered);
  EXPECT_EQ(std::set<nanoseconds>(at.begin(), at.end()).size(), 4U);
}

TEST_F(MediumTest, APacketLargerThanTheAggregateStillGoes) {
  Link link = kLink;
  link.aggregate = Bytes{0};
  use(Topology::shared, link);
  send(0, 1);
  send(0, 1);
  play();
  EXPECT_EQ(count(Fate::delivered), 2U);
}

TEST_F(MediumTest, AFullQueueDropsWhatComesLast) {
  Link link = kLink;
  link.queue = Bytes{3000};
  use(Topology::shared, link);
  for (int i = 0; i < 5; ++i) send(0, 1);  // the first is in the air at once, three wait
  play();
  EXPECT_EQ(count(Fate::delivered), 4U);
  ASSERT_EQ(count(Fate::queue_full), 1U);
  EXPECT_EQ(outcomes_.front().fate, Fate::queue_full) << "told at once";
  EXPECT_EQ(outcomes_.front().packet.id, 4U);
}

TEST_F(MediumTest, RepetitionsCostTimeAndLossCostsPackets) {
  Link link = kLink;
  link.aggregate = Bytes{0};
  link.queue = Bytes{100'000'000};
  link.retry = 0.5;
  link.loss = 0.1;
  use(Topology::shared, link, 2, 7);
  constexpr int kPackets = 20'000;
  for (int i = 0; i < kPackets; ++i) send(0, 1);
  play(1000s);
  // Half of them are repeated, half of those again ... at most 7 times: 1.98 transmissions each.
  const auto delivered = times(Fate::delivered);
  const double survived = static_cast<double>(delivered.size()) / kPackets;
  EXPECT_NEAR(survived, 0.9 * 0.9, 0.01);
  const double transmissions = kPackets * (1 + 0.9);  // what the first hop lost needs no second
  const double mean =
      std::chrono::duration<double, std::micro>(delivered.back() - 1ms).count() / transmissions;
  EXPECT_NEAR(mean, 1.984 * 150, 6);
}

TEST_F(MediumTest, JitterIsExponentialAndNeverReorders) {
  Link link = kLink;
  link.jitter = 2ms;
  use(Topology::switched, link, 2, 3);
  double sum = 0;
  nanoseconds longest = 0ns;
  constexpr int kPackets = 5000;
  for (int i = 0; i < kPackets; ++i) {
    const nanoseconds sent = i * 100ms;  // one at a time
    send(0, 1, 1000, sent);
    play(sent + 99ms);
    const nanoseconds added = times(Fate::delivered).back() - sent - 1300us;
    sum += std::chrono::duration<double, std::milli>(added).count();
    longest = std::max(longest, added);
  }
  EXPECT_NEAR(sum / kPackets, 2.0, 0.1);
  EXPECT_GT(longest, 8ms);
  EXPECT_LE(longest, 16ms);
  outcomes_.clear();
  for (int i = 0; i < kPackets; ++i) send(0, 1, 100, 600s + i * 50us);
  play(1000s);
  std::vector<std::uint32_t> ids;
  for (const Outcome& outcome : outcomes_) ids.push_back(outcome.packet.id);
  EXPECT_GT(ids.size(), 4000U);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
}

/// One far-away station among near ones: only its own packets are late.
TEST_F(MediumTest, ASlowSenderDelaysNobodyElsesPackets) {
  use(Topology::switched, kLink);
  Link slow = kLink;
  slow.delay = 99ms;
  medium_->set_link(2, slow, kStart);
  send(2, 0);
  send(1, 0, 1000, 1ms);
  send(0, 1, 1000, 1ms);
  play();
  EXPECT_THAT(times(Fate::delivered), testing::ElementsAre(1ms + 1300us, 1ms + 1300us, 50ms + 300us));
}

TEST_F(MediumTest, AVanishedStationDropsWhatWaitsTravelsAndComes) {
  use(Topology::shared, kLink);
  for (int i = 0; i < 6; ++i) send(0, 1);  // one in the air, five wait
  send(0, 2, 1000, 10us);
  medium_->vanish(1, kStart + 20us);
  send(1, 2, 1000, 30us);
  send(0, 1, 1000, 40us);
  play();
  EXPECT_EQ(count(Fate::vanished), 8U);
  EXPECT_EQ(count(Fate::delivered), 1U);
  EXPECT_EQ(medium_->next_deadline(), std::nullopt);
  medium_->restore(1, kStart + 1s);
  send(0, 1, 1000, 1s);
  play();
  EXPECT_EQ(count(Fate::delivered), 2U);
}

TEST_F(MediumTest, ADelayedPacketIsLostToAStationThatVanishesMeanwhile) {
  use(Topology::shared, kLink);
  send(0, 1);
  play(1ms);  // through the air, not yet delivered
  medium_->vanish(1, kStart + 1ms);
  play();
  EXPECT_EQ(count(Fate::delivered), 0U);
  EXPECT_EQ(count(Fate::vanished), 1U);
}

TEST_F(MediumTest, AFrozenStationGetsWhatWaitedOnceItIsBack) {
  use(Topology::shared, kLink);
  medium_->freeze(1, kStart);
  send(0, 1);
  send(1, 0);
  send(0, 2);
  play(1s);
  EXPECT_EQ(count(Fate::delivered), 1U) << "others go on";
  EXPECT_EQ(medium_->next_deadline(), std::nullopt) << "nothing to wait for while it is frozen";
  medium_->restore(1, kStart + 5s);
  play();
  const auto delivered = times(Fate::delivered);
  ASSERT_EQ(delivered.size(), 3U);
  EXPECT_GT(delivered[1], 5s);
}

TEST_F(MediumTest, ASlowStationCostsEverybodyItsTimeOnTheAir) {
  use(Topology::shared, kLink);
  Link slow = kLink;
  slow.megabits = 8;
  medium_->set_link(2, slow, kStart);
  send(2, 1);  // 1 ms up, 0.1 ms down
  send(0, 1);
  play();
  EXPECT_THAT(times(Fate::delivered), testing::ElementsAre(1050us + 150us + 1ms, 1050us + 3 * 150us + 1ms));
}

TEST_F(MediumTest, LatenessOfTheCallerCostsNoRate) {
  use(Topology::shared, kLink, 2);
  for (int i = 0; i < 40; ++i) send(0, 1);
  play();
  const auto expected = times(Fate::delivered);
  use(Topology::shared, kLink, 2);
  for (int i = 0; i < 40; ++i) send(0, 1);
  outcomes_ = medium_->advance(kStart + 100s);
  EXPECT_EQ(times(Fate::delivered), expected);
}

TEST_F(MediumTest, SameSeedSameOutcome) {
  const Profile* bad = find_profile("bad-wifi");
  ASSERT_NE(bad, nullptr);
  std::map<std::uint64_t, std::vector<nanoseconds>> seen;
  for (const std::uint64_t seed : {1U, 1U, 2U}) {
    use(bad->topology, bad->link, 3, seed);
    for (int i = 0; i < 300; ++i)
      send(static_cast<std::size_t>(i % 3), static_cast<std::size_t>((i + 1) % 3), 900, i * 1ms);
    play();
    const auto [known, is_new] = seen.emplace(seed, times(Fate::delivered));
    EXPECT_EQ(known->second, times(Fate::delivered));
  }
  EXPECT_NE(seen[1], seen[2]);
}

/// Whatever is done to it: each packet comes back exactly once, and it
/// comes to rest.
TEST_F(MediumTest, EveryPacketHasOneFate) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    std::mt19937_64 random(seed);
    const Profile& profile = profiles()[seed % profiles().size()];
    use(profile.topology, profile.link, 4, seed);
    next_id_ = 0;
    nanoseconds now = 0ns;
    for (int step = 0; step < 400; ++step) {
      now += nanoseconds(random() % 400'000);
      const std::size_t station = random() % 4;
      switch (random() % 20) {
        case 0:
          medium_->vanish(station, kStart + now);
          break;
        case 1:
          medium_->freeze(station, kStart + now);
          break;
        case 2:
        case 3:
          medium_->restore(station, kStart + now);
          break;
        default:
          send(station, (station + 1 + random() % 3) % 4, 40 + random() % 1460, now);
      }
      for (const Outcome& outcome : medium_->advance(kStart + now)) outcomes_.push_back(outcome);
    }
    for (std::size_t station = 0; station < 4; ++station) medium_->restore(station, kStart + now);
    play(1000s);
    std::vector<int> fates(next_id_, 0);
    for (const Outcome& outcome : outcomes_) ++fates[outcome.packet.id];
    EXPECT_THAT(fates, testing::Each(1)) << "seed " << seed;
    EXPECT_EQ(medium_->next_deadline(), std::nullopt) << "seed " << seed;
    EXPECT_GT(count(Fate::delivered), 5U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace caravan::lab
