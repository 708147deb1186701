#include <gtest/gtest.h>

#include "plan/layout.h"
#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

constexpr Bytes kLayer = mebibytes(20);
constexpr Bytes kHead = mebibytes(40);
constexpr int kLayers = 10;

double seconds_at(Bytes bytes, double rate) { return static_cast<double>(bytes.count) / rate; }

/// Stores 2 GB/s, repacks 1 GB/s: a start besides the weights takes 0.5 s.
DeviceProfile loading(const std::string& name) {
  DeviceProfile made = device(name, mebibytes(4000), 8);
  made.store = 2e9;
  made.kernels["q4_0"].store_repacked = 1e9;
  return made;
}

class PredictLoad : public ::testing::Test {
 protected:
  Prediction predict(DataPath path, const Cluster& devices, const std::vector<std::size_t>& members,
                     const std::vector<int>& counts, Head head = Head::master) const {
    const Usage usage{.context = 512, .data_path = path};
    const Workload work = workload_of(model_, usage);
    return LayoutPlanner(work, devices, usage).predict(members, counts, head);
  }

  model::ModelFacts model_ = transformer(kLayers, kLayer, kHead);
  Bytes all_{kLayer.count * kLayers + kHead.count};
};

TEST_F(PredictLoad, AloneItIsReadAndRepacked) {
  const double expected = 0.5 + seconds_at(all_, 2e9) + seconds_at(all_, 1e9);
  EXPECT_NEAR(predict(DataPath::rpc, cluster({loading("a")}), {0}, {kLayers}).load, expected, 1e-3);
  DeviceProfile slow_disk = loading("a");
  slow_disk.disk = 1e8;
  EXPECT_NEAR(predict(DataPath::rpc, cluster({slow_disk}), {0}, {kLayers}).load,
              expected - seconds_at(all_, 2e9) + seconds_at(all_, 1e8), 1e-3);
}

TEST_F(PredictLoad, WithRpcEachStartSendsTheWorkersWeights) {
  const auto devices = cluster({loading("a"), loading("b")}, 0.005, 80);  // 10 MB/s, of which weights get 0.9
  const Prediction halves = predict(DataPath::rpc, devices, {0, 1}, {5, 5});
  const Bytes its{kLayer.count * 5};
  EXPECT_GT(halves.load, seconds_at(its, 9e6));
  EXPECT_LT(halves.load, seconds_at(its, 9e6) + 1.5);
  EXPECT_EQ(halves.load_again, halves.load);
}

TEST_F(PredictLoad, InTheFabricTheNextStartIsThatOfTheSlowestDevice) {
  const auto devices = cluster({loading("a"), loading("b")}, 0.005, 80);
  const Prediction halves = predict(DataPath::fabric, devices, {0, 1}, {2, 8});
  const Bytes its{kLayer.count * 8};
  EXPECT_NEAR(halves.load_again, 0.5 + seconds_at(its, 2e9) + seconds_at(its, 1e9) + seconds_at(its, 0.8e9),
              1e-3)
      << "read, repacked, hashed";
  EXPECT_NEAR(halves.load, halves.load_again + seconds_at(its, 9.3e6) + seconds_at(all_, 0.8e9), 1e-3)
      << "sent once, after the model was hashed";
  Cluster slow = devices;
  slow_down(slow.devices[0], 3);
  const Prediction with_slow_master = predict(DataPath::fabric, slow, {0, 1}, {2, 8});
  EXPECT_GT(with_slow_master.load_again, halves.load_again + 0.99) << "the master's programs take longer";
}

TEST_F(PredictLoad, WhatWasNotMeasuredIsAssumed) {
  const auto devices = cluster({device("a", mebibytes(4000), 8)});
  EXPECT_NEAR(predict(DataPath::rpc, devices, {0}, {kLayers}).load, 0.4 + seconds_at(all_, 250e6), 1e-3);
}

}  // namespace
}  // namespace caravan::plan
