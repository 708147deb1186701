#include "lab/profiles.h"

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace caravan::lab {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// How long one packet takes from station 0 to 1 in each of many tries that do not meet; the median.
nanoseconds one_way(const Profile& profile) {
  std::vector<nanoseconds> taken;
  Medium medium(profile.topology, profile.link, 2, 5);
  for (std::uint32_t i = 0; i < 501; ++i) {
    const TimePoint sent{i * 1s};
    medium.send({.id = i, .from = 0, .to = 1, .bytes = 84}, sent);
    for (const Outcome& outcome : medium.advance(sent + 999ms)) {
      if (outcome.fate == Fate::delivered) taken.push_back(outcome.at - sent);
    }
  }
  std::sort(taken.begin(), taken.end());
  return taken[taken.size() / 2];
}

/// Payload, in Mbit/s, of full packets from one station that never stops, with an answer of 52 bytes for
/// every two.
double bulk(const Profile& profile) {
  Medium medium(profile.topology, profile.link, 2, 5);
  std::uint64_t bytes = 0;
  std::uint32_t id = 0;
  std::uint64_t waiting = 0;
  const std::uint64_t window = profile.link.queue.count / 1500 * 4 / 5;  // TCP backs off before it loses more
  bool odd = false;
  for (TimePoint now{}; now < TimePoint{3s}; now += 200us) {
    for (; waiting < window; ++waiting) medium.send({.id = id++, .from = 0, .to = 1, .bytes = 1500}, now);
    for (const Outcome& outcome : medium.advance(now)) {
      if (outcome.packet.from == 1) continue;
      --waiting;
      if (outcome.fate != Fate::delivered) continue;
      bytes += 1448;
      odd = !odd;
      if (odd) medium.send({.id = id++, .from = 1, .to = 0, .bytes = 52}, now);
    }
  }
  return static_cast<double>(bytes) * 8 / 3e6;
}

struct Target {
  std::string_view name;
  nanoseconds round_trip;
  double megabits;
};

/// The targets of docs/lab.md, without the processors' part in them: the emulator, the kernel and TCP take
/// the rest.
TEST(ProfilesTest, AreWhatTheyAreSaidToBe) {
  constexpr Target kTargets[] = {
      {"wifi5", 4700us, 190}, {"wifi24", 8000us, 22}, {"usb-ethernet", 700us, 310}, {"bad-wifi", 21ms, 9}};
  for (const Target& target : kTargets) {
    const Profile* profile = find_profile(target.name);
    ASSERT_NE(profile, nullptr) << target.name;
    const double expected = static_cast<double>(target.round_trip.count());
    EXPECT_NEAR(static_cast<double>(2 * one_way(*profile).count()), expected, expected * 0.2) << target.name;
    EXPECT_NEAR(bulk(*profile), target.megabits, target.megabits * 0.2) << target.name;
  }
}

TEST(ProfilesTest, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const Profile& profile : profiles()) {
    EXPECT_TRUE(names.insert(profile.name).second) << profile.name;
    EXPECT_EQ(find_profile(profile.name), &profile);
    EXPECT_FALSE(profile.what.empty());
  }
  EXPECT_EQ(find_profile("wifi6"), nullptr);
  EXPECT_EQ(find_profile(""), nullptr);
  EXPECT_EQ(no_such_profile("wifi6").hint, "wifi5, wifi24, usb-ethernet, bad-wifi");
}

}  // namespace
}  // namespace caravan::lab
