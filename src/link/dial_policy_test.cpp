#include "link/dial_policy.h"

#include <gtest/gtest.h>

namespace caravan::link {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const LinkAddress kHome{"192.168.1.7", 7433};
const LinkAddress kOther{"10.0.0.7", 7433};

struct Dialler : testing::Test {
  TimePoint now{};
  DialPolicy policy{"m"};

  void know(const std::string& device, std::vector<LinkAddress> addresses) {
    policy.set_members({device}, now);
    policy.set_addresses(device, std::move(addresses), now);
  }
  /// Lets time pass until something is due; gives up after an hour.
  std::vector<Dial> next() {
    const auto at = policy.next_deadline();
    if (!at) return {};
    now = std::max(now, *at);
    return policy.due(now);
  }
};

TEST_F(Dialler, DialsAMemberOnceItsAddressIsKnown) {
  policy.set_members({"z"}, now);
  EXPECT_FALSE(policy.next_deadline());
  policy.set_addresses("z", {kHome}, now);
  const auto dials = next();
  ASSERT_EQ(dials.size(), 1U);
  EXPECT_EQ(dials[0], (Dial{"z", kHome}));
  EXPECT_TRUE(policy.due(now + seconds(100)).empty()) << "it is under way";
}

TEST_F(Dialler, TheLowerIdDialsFirst) {
  DialPolicy high{"z"};
  DialPolicy low{"a"};
  high.set_members({"a"}, now);
  low.set_members({"z"}, now);
  high.set_addresses("a", {kHome}, now);
  low.set_addresses("z", {kHome}, now);
  EXPECT_LT(*low.next_deadline() + seconds(1), *high.next_deadline());
}

TEST_F(Dialler, TriesEachAddressThenGetsSlower) {
  know("z", {kHome, kOther});
  std::vector<LinkAddress> tried;
  std::vector<TimePoint> times;
  for (int i = 0; i < 12; ++i) {
    const auto dials = next();
    ASSERT_EQ(dials.size(), 1U);
    tried.push_back(dials[0].address);
    times.push_back(now);
    policy.done(dials[0], "", now);
  }
  EXPECT_EQ(tried[0], kHome);
  EXPECT_EQ(tried[1], kOther);
  EXPECT_EQ(tried[2], kHome);
  EXPECT_GT(times[7] - times[6], times[3] - times[2]);
  for (std::size_t i = 1; i < times.size(); ++i) EXPECT_LE(times[i] - times[i - 1], seconds(30));
}

TEST_F(Dialler, ANewAddressIsTriedAtOnce) {
  know("z", {kHome});
  for (int i = 0; i < 8; ++i) policy.done(next().at(0), "", now);
  policy.set_addresses("z", {kOther, kHome}, now);
  const auto dials = policy.due(now);
  ASSERT_EQ(dials.size(), 1U);
  EXPECT_EQ(dials[0].address, kOther);
}

TEST_F(Dialler, NobodyWhoIsLinkedIsDialledAndWhoWasLostIsAgain) {
  know("z", {kHome});
  policy.done(next().at(0), "z", now);
  policy.linked("z");
  EXPECT_FALSE(policy.next_deadline());
  policy.lost("z", now);
  EXPECT_EQ(next().size(), 1U);
}

TEST_F(Dialler, WhoIsRemovedIsForgotten) {
  know("z", {kHome});
  const Dial dial = next().at(0);
  policy.set_members({}, now);
  policy.done(dial, "", now);
  EXPECT_FALSE(policy.next_deadline());
}

TEST_F(Dialler, AnAddressByHandIsDialledUntilSomebodyIsThere) {
  policy.set_members({"z"}, now);
  policy.add_by_hand(kHome, now);
  Dial dial = next().at(0);
  EXPECT_EQ(dial, (Dial{"", kHome}));
  policy.done(dial, "", now);
  dial = next().at(0);
  policy.done(dial, "z", now);
  policy.linked("z");
  EXPECT_FALSE(policy.next_deadline());
  policy.lost("z", now);
  EXPECT_EQ(next().at(0), (Dial{"", kHome}));
}

}  // namespace
}  // namespace caravan::link
