#include "app/traffic_rates.h"

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

using std::chrono::milliseconds;

std::vector<cluster::Traffic> totals(std::uint64_t sent, std::uint64_t received) {
  return {{"worker", Bytes{sent}, Bytes{received}}};
}

TEST(TrafficRates, AreDifferencesOfTotalsOverAtLeastTwoSeconds) {
  TrafficRates rates;
  const TimePoint start{};
  rates.add("master", totals(1000, 100), start);
  EXPECT_EQ(rates.of("worker").to_worker, 0);
  rates.add("master", totals(5000, 100), start + milliseconds(100));
  EXPECT_EQ(rates.of("worker").to_worker, 0) << "too short to tell";
  rates.add("master", totals(9000, 2100), start + milliseconds(2000));
  EXPECT_EQ(rates.of("worker").to_worker, 4000);
  EXPECT_EQ(rates.of("worker").from_worker, 1000);
  rates.add("master", totals(9000, 2100), start + milliseconds(4000));
  EXPECT_EQ(rates.of("worker").to_worker, 0) << "nothing crosses any more";
}

TEST(TrafficRates, ANewTunnelCountsFromZero) {
  TrafficRates rates;
  const TimePoint start{};
  rates.add("master", totals(1'000'000, 0), start);
  rates.add("master", totals(500, 0), start + milliseconds(3000));
  EXPECT_EQ(rates.of("worker").to_worker, 0);
  rates.add("master", totals(1500, 0), start + milliseconds(5000));
  EXPECT_EQ(rates.of("worker").to_worker, 500);
}

TEST(TrafficRates, OfSeveralMastersAddUpAndEndWithThem) {
  TrafficRates rates;
  const TimePoint start{};
  for (const char* master : {"a", "b"}) {
    rates.add(master, totals(0, 0), start);
    rates.add(master, totals(2000, 0), start + milliseconds(2000));
  }
  EXPECT_EQ(rates.of("worker").to_worker, 2000);
  rates.forget("a");
  EXPECT_EQ(rates.of("worker").to_worker, 1000);
  rates.add("b", {}, start + milliseconds(3000));
  EXPECT_EQ(rates.of("worker").to_worker, 0);
  EXPECT_EQ(rates.of("nobody").to_worker, 0);
}

}  // namespace
}  // namespace caravan::app
