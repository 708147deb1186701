#include "device/speed_estimate.h"

#include <gtest/gtest.h>

namespace caravan::device {
namespace {

void add(Speed& speed, Quantity quantity, const char* type, const char* layout, int threads, int columns,
         double rate) {
  speed.measurements.push_back({quantity, type, layout, threads, columns, rate, {}, 1});
}

/// One thread: 10 GB/s, 100 G multiply-adds a second, 1 M operations, 1 G elements, 5 G (decode) and 20 G
/// attention.
Speed example() {
  Speed speed;
  speed.threads = {1};
  for (const char* type : {"q4_K", "q8_0"}) {
    add(speed, Quantity::decode, type, "plain", 1, 1, 1e10);
    add(speed, Quantity::prefill, type, "plain", 1, 64, 8e10);
    add(speed, Quantity::prefill, type, "plain", 1, 512, 1e11);
  }
  add(speed, Quantity::small_op, "", "", 1, 1, 1e6);
  add(speed, Quantity::elements, "", "", 1, 512, 1e9);
  add(speed, Quantity::attention, "", "", 1, 1, 5e9);
  add(speed, Quantity::attention, "", "", 1, 512, 2e10);
  return speed;
}

TokenWork example_work() {
  TokenWork work;
  work.layers = {{"q4_K", Bytes{500'000'000}, 900'000'000}};
  work.head = {{"q8_0", Bytes{100'000'000}, 90'000'000}};
  work.operations = 300;
  work.elements = 1e5;
  work.attention = 1e5;
  return work;
}

TEST(SpeedEstimate, DecodeIsBytesOverRateAndOperations) {
  const auto time = estimate_decode(example(), example_work(), 1, 1000);
  ASSERT_TRUE(time.has_value());
  EXPECT_DOUBLE_EQ(time->matrices.count(), 0.06);
  EXPECT_DOUBLE_EQ(time->attention.count(), 1e5 * 1000 / 5e9);
  EXPECT_DOUBLE_EQ(time->between.count(), 300e-6);
  EXPECT_DOUBLE_EQ(time->total().count(), 0.06 + 0.02 + 300e-6);
}

TEST(SpeedEstimate, PrefillTakesTheHeadOnce) {
  const auto time = estimate_prefill(example(), example_work(), 1, 512);
  ASSERT_TRUE(time.has_value());
  EXPECT_NEAR(time->matrices.count(), 9e8 * 512 / 1e11 + 0.01, 1e-9);
  EXPECT_NEAR(time->attention.count(), 1e5 * 512 * 513 / 2 / 2e10, 1e-9);
  EXPECT_NEAR(time->between.count(), 1e5 * 512 / 1e9, 1e-9);
  const auto few = estimate_prefill(example(), example_work(), 1, 64);
  EXPECT_NEAR(few->matrices.count(), 9e8 * 64 / 8e10 + 0.01, 1e-9);
}

TEST(SpeedEstimate, TakesTheSpecialLayoutWhereThereIsOne) {
  Speed speed = example();
  add(speed, Quantity::decode, "q4_K", "CPU_REPACK", 1, 1, 2e10);
  EXPECT_DOUBLE_EQ(estimate_decode(speed, example_work(), 1, 0)->matrices.count(), 0.025 + 0.01);
}

TEST(SpeedEstimate, TakesTheNearestTypeForOneThatWasNotMeasured) {
  Speed speed = example();
  add(speed, Quantity::decode, "q6_K", "plain", 1, 1, 5e9);
  TokenWork work;
  work.layers = {{"q5_1", Bytes{1'000'000'000}, 1}};
  EXPECT_DOUBLE_EQ(estimate_decode(speed, work, 1, 0)->matrices.count(), 0.2);
  work.layers = {{"iq4_xs", Bytes{1'000'000'000}, 1}};
  EXPECT_DOUBLE_EQ(estimate_decode(speed, work, 1, 0)->matrices.count(), 0.1);
  work.layers = {{"never heard of", Bytes{1'000'000'000}, 1}};
  EXPECT_DOUBLE_EQ(estimate_decode(speed, work, 1, 0)->matrices.count(), 0.1);
}

TEST(SpeedEstimate, SaysNothingWithoutMeasurements) {
  EXPECT_FALSE(estimate_decode(Speed{}, example_work(), 1, 0).has_value());
  EXPECT_FALSE(estimate_prefill(Speed{}, example_work(), 1, 512).has_value());
  EXPECT_FALSE(estimate_decode(example(), example_work(), 2, 0).has_value());
  EXPECT_EQ(best_decode_threads(Speed{}, example_work()), 0);
}

TEST(SpeedEstimate, MoreThreadsMustBeWorthIt) {
  Speed speed = example();
  speed.threads = {1, 2, 4};
  for (const auto& [threads, factor] : {std::pair{2, 1.5}, std::pair{4, 1.51}}) {
    for (const Measurement& measurement : example().measurements) {
      Measurement more = measurement;
      more.threads = threads;
      more.rate = measurement.rate * factor;
      speed.measurements.push_back(more);
    }
  }
  EXPECT_EQ(best_decode_threads(speed, example_work()), 2);
  EXPECT_EQ(best_prefill_threads(speed, example_work()), 2);
}

TEST(SpeedEstimate, TheExampleModelHasItsRealNumbers) {
  const TokenWork work = one_billion_q4_k_m();
  EXPECT_EQ(work.layers.at(0).bytes.count, work.layers.at(0).weights * 9 / 16);     // 4.5 bits
  EXPECT_EQ(work.layers.at(1).bytes.count, work.layers.at(1).weights * 105 / 128);  // 6.5625 bits
  EXPECT_EQ(work.head.at(0).bytes.count, work.head.at(0).weights * 105 / 128);
  EXPECT_EQ(work.layers.at(0).weights + work.layers.at(1).weights, 973'078'528U);
  EXPECT_EQ(work.head.at(0).weights, 2048U * 128256U);
  EXPECT_EQ(work.operations, 16 * 19 + 3);
  EXPECT_DOUBLE_EQ(work.attention, 2.0 * 2048 * 16);
}

}  // namespace
}  // namespace caravan::device
