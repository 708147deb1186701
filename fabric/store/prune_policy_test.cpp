#include "fabric/store/prune_policy.h"

#include <random>

#include <gmock/gmock.h>

namespace caravan::fabric {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr StoreTime kNow{std::chrono::seconds(1'800'000'000)};
constexpr Bytes kPlenty{1ULL << 50U};

StoredItem item(std::uint64_t size, hours age) { return {Bytes{size}, kNow - age}; }
StoredItem used(std::uint64_t size, hours age) { return {Bytes{size}, kNow - age, true}; }
StoredItem part(std::uint64_t size, hours age) { return {Bytes{size}, kNow - age, false, true}; }

PrunePolicy policy_of(std::uint64_t limit, std::uint64_t keep_free = 0) {
  StoreLimits limits;
  limits.limit = Bytes{limit};
  limits.keep_free = Bytes{keep_free};
  return PrunePolicy(limits);
}

TEST(PrunePolicy, DropsNothingWhileThereIsRoom) {
  const auto plan = policy_of(100).plan({item(40, hours(9)), item(40, hours(8))}, Bytes{20}, kPlenty, kNow);
  EXPECT_TRUE(plan.fits);
  EXPECT_THAT(plan.drop, IsEmpty());
}

TEST(PrunePolicy, DropsTheLongestUnusedFirst) {
  const auto plan = policy_of(100).plan({item(40, hours(1)), item(30, hours(9)), item(30, hours(5))},
                                        Bytes{20}, kPlenty, kNow);
  EXPECT_TRUE(plan.fits);
  EXPECT_THAT(plan.drop, ElementsAre(1));
}

TEST(PrunePolicy, DropsASixteenthMoreThanNeeded) {
  const auto plan = policy_of(160).plan({item(10, hours(3)), item(10, hours(2)), item(140, hours(1))},
                                        Bytes{10}, kPlenty, kNow);
  EXPECT_THAT(plan.drop, ElementsAre(0, 1));
}

TEST(PrunePolicy, OfEquallyOldOnesTheLargest) {
  const auto plan = policy_of(100).plan({item(10, hours(2)), item(60, hours(2)), item(30, hours(2))},
                                        Bytes{20}, kPlenty, kNow);
  EXPECT_THAT(plan.drop, ElementsAre(1));
}

TEST(PrunePolicy, NeverWhatIsInUse) {
  const auto plan = policy_of(100).plan({used(50, hours(900)), item(50, hours(1))}, Bytes{30}, kPlenty, kNow);
  EXPECT_TRUE(plan.fits);
  EXPECT_THAT(plan.drop, ElementsAre(1));
}

TEST(PrunePolicy, NothingGoesInVain) {
  const auto plan = policy_of(100).plan({used(80, hours(9)), item(10, hours(9))}, Bytes{50}, kPlenty, kNow);
  EXPECT_FALSE(plan.fits);
  EXPECT_THAT(plan.drop, IsEmpty());
}

TEST(PrunePolicy, ALoweredLimitHoldsAsFarAsItCan) {
  const auto plan = policy_of(100).plan({used(90, hours(9)), item(20, hours(9)), item(20, hours(1))}, Bytes{},
                                        kPlenty, kNow);
  EXPECT_TRUE(plan.fits);
  EXPECT_THAT(plan.drop, ElementsAre(1, 2));
  const auto hopeless =
      policy_of(100).plan({used(190, hours(9)), item(20, hours(9))}, Bytes{}, kPlenty, kNow);
  EXPECT_FALSE(hopeless.fits);
  EXPECT_THAT(hopeless.drop, ElementsAre(1));
}

TEST(PrunePolicy, MakesRoomOnAFullDisk) {
  const auto plan =
      policy_of(1000, 50).plan({item(40, hours(9)), item(40, hours(8))}, Bytes{10}, Bytes{30}, kNow);
  EXPECT_TRUE(plan.fits);
  EXPECT_THAT(plan.drop, ElementsAre(0, 1)) << "30 are missing, and a sixteenth of the limit";
  EXPECT_FALSE(policy_of(1000, 50).plan({item(10, hours(9))}, Bytes{10}, Bytes{30}, kNow).fits);
}

TEST(PrunePolicy, PartsThatNobodyWentOnWithGoFirst) {
  const auto forgotten = part(10, hours(24 * 8));
  EXPECT_THAT(policy_of(100).plan({item(10, hours(9000)), forgotten}, Bytes{10}, kPlenty, kNow).drop,
              ElementsAre(1))
      << "also when there is room";
  EXPECT_THAT(policy_of(100).plan({part(10, hours(24))}, Bytes{10}, kPlenty, kNow).drop, IsEmpty());
  auto held = forgotten;
  held.is_used_now = true;
  EXPECT_THAT(policy_of(100).plan({held}, Bytes{10}, kPlenty, kNow).drop, IsEmpty());
}

TEST(PrunePolicy, ATimeAheadCountsAsNow) {
  const auto plan =
      policy_of(100).plan({item(50, hours(-5000)), item(50, hours(1))}, Bytes{10}, kPlenty, kNow);
  EXPECT_THAT(plan.drop, ElementsAre(1));
}

TEST(PrunePolicy, NotesAUseOnceAnHour) {
  EXPECT_FALSE(PrunePolicy::is_worth_noting(kNow - hours(1) + std::chrono::seconds(1), kNow));
  EXPECT_TRUE(PrunePolicy::is_worth_noting(kNow - hours(1), kNow));
  EXPECT_TRUE(PrunePolicy::is_worth_noting(kNow + hours(10), kNow)) << "so that it does not stay for ever";
}

/// Models come and go for simulated years: what the policy promises holds at each step.
TEST(PrunePolicy, HoldsItsPromisesOverYears) {
  constexpr std::uint64_t kLimit = 10'000;
  const PrunePolicy policy = policy_of(kLimit, 100);
  std::mt19937 random(7433);
  std::vector<StoredItem> items;
  StoreTime now = kNow;
  for (int step = 0; step < 20'000; ++step) {
    now += std::chrono::minutes(random() % 120);
    const std::uint64_t needed = random() % 900;
    std::uint64_t total = 0;
    for (StoredItem& each : items) {
      each.is_used_now = random() % 8 == 0;
      if (each.is_used_now) each.last_use = now;
      total += each.size.count;
    }
    const Bytes free{12'000 - total + random() % 500};
    const auto plan = policy.plan(items, Bytes{needed}, free, now);
    StoreTime newest_gone{};
    std::vector<bool> gone(items.size());
    std::uint64_t freed = 0;
    for (const std::size_t i : plan.drop) {
      ASSERT_FALSE(items.at(i).is_used_now);
      ASSERT_FALSE(gone[i]) << "each once";
      gone[i] = true;
      freed += items[i].size.count;
      newest_gone = std::max(newest_gone, items[i].last_use);
    }
    std::vector<StoredItem> kept;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (gone[i]) continue;
      kept.push_back(items[i]);
      if (!items[i].is_used_now) {
        ASSERT_GE(items[i].last_use, newest_gone);
      }
    }
    items = kept;
    if (!plan.fits) continue;
    ASSERT_LE(total - freed + needed, kLimit);
    ASSERT_GE(free.count + freed, needed + 100);
    items.push_back({Bytes{needed}, now});
  }
}

}  // namespace
}  // namespace caravan::fabric
