#include "plan/every_layout.h"

#include <algorithm>
#include <random>
#include <set>

#include <gmock/gmock.h>

#include "plan/layout.h"
#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

/// What the planner keeps least: a token, and its part of a prompt.
double price(const Prediction& predicted, double prompt_weight) {
  return 1 / predicted.decode + prompt_weight / predicted.prefill;
}

bool takes_all_that_are_required(const Plan& plan, const Cluster& cluster, const LayoutWishes& wishes) {
  for (std::size_t i = 0; i < cluster.devices.size(); ++i) {
    const bool takes_part = std::any_of(plan.shares.begin(), plan.shares.end(), [&](const Share& share) {
      return share.device == cluster.devices[i].name;
    });
    if (wishes.required[i] && !takes_part) return false;
  }
  return true;
}

void expect_none_is_cheaper(const std::vector<Plan>& others, const LayoutWishes& wishes, const Plan& best,
                            int round) {
  for (const Plan& other : others) {
    // Sampling in the graph has to be worth it.
    const bool samples_elsewhere =
        wishes.usage.data_path == DataPath::fabric && other.shares.size() > 1 && other.head != best.head;
    const double worth = samples_elsewhere ? 0.95 : 1 - 1e-9;
    EXPECT_GE(price(other.predicted, wishes.prompt_weight) / worth,
              price(best.predicted, wishes.prompt_weight))
        << round;
  }
}

TEST(EveryLayout, NoneIsPredictedToBeFasterThanTheChosenOne) {
  std::mt19937 random(11);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  int split = 0;
  for (int round = 0; round < 200; ++round) {
    const int layers = pick(3, 8);
    const auto model =
        transformer(layers, mebibytes(static_cast<std::uint64_t>(pick(20, 60))), mebibytes(60));
    std::vector<DeviceProfile> devices;
    for (const char* name : {"a", "b", "c"}) devices.push_back(device(name, mebibytes(5000), pick(1, 10)));
    Cluster all = cluster(devices, pick(0, 10) * 1e-3);
    const bool is_fabric = round % 2 == 0;
    for (std::size_t i = 0; round % 4 == 0 && i < 3; ++i) {  // links that differ
      const auto names = std::minmax(devices[i].name, devices[(i + 1) % 3].name);
      all.links[{names.first, names.second}] = Link{pick(0, 20) * 1e-3, pick(1, 20) * 1e6};
    }
    const Usage usage{.context = 512, .data_path = is_fabric ? DataPath::fabric : DataPath::rpc};
    const Workload work = workload_of(model, usage);
    const LayoutPlanner planner(work, all, usage);
    LayoutWishes wishes{.usage = usage};
    wishes.required = {pick(0, 1) == 1, pick(0, 1) == 1, pick(0, 1) == 1};
    wishes.prompt_weight = is_fabric ? pick(0, 3) : 0;
    const auto best = planner.best(wishes);
    ASSERT_TRUE(best);
    split += best->shares.size() > 1 ? 1 : 0;
    auto others = every_layout(model, all, usage);
    ASSERT_TRUE(others.ok());
    const auto is_no_choice = [&](const Plan& plan) {
      return !takes_all_that_are_required(plan, all, wishes);
    };
    others->erase(std::remove_if(others->begin(), others->end(), is_no_choice), others->end());
    expect_none_is_cheaper(*others, wishes, *best, round);
  }
  EXPECT_GT(split, 100);
}

TEST(EveryLayout, OfThreeDevices) {
  const auto model = transformer(6, mebibytes(10), mebibytes(80));
  const auto three = cluster(
      {device("a", mebibytes(4000), 5), device("b", mebibytes(4000), 5), device("c", mebibytes(4000), 5)});
  const auto all = every_layout(model, three, {.context = 512, .data_path = DataPath::fabric});
  ASSERT_TRUE(all.ok());
  // For each master: alone; with one of two others 6 cuts; with both in either order 15; each with two places
  // of the head.
  EXPECT_EQ(all->size(), 3U * (1 + 2 * 2 * 6 + 2 * 2 * 15));
  std::set<std::string> different;
  for (const Plan& plan : *all) {
    std::string text = plan.head == Head::master ? "master" : "worker";
    int layers = 0;
    for (const Share& share : plan.shares) {
      EXPECT_EQ(share.first_layer, layers);
      layers += share.layer_count;
      text += " " + share.device + std::to_string(share.layer_count);
    }
    EXPECT_EQ(layers, 6);
    EXPECT_GT(plan.predicted.decode, 0);
    different.insert(text);
  }
  EXPECT_EQ(different.size(), all->size());
  auto smaller = three;
  smaller.devices[0].memory = Bytes{all->front().shares[0].total().count - 1};  // "a" alone
  const auto fitting = every_layout(model, smaller, {.context = 512, .data_path = DataPath::fabric});
  ASSERT_TRUE(fitting.ok());
  EXPECT_LT(fitting->size(), all->size());
  EXPECT_GT(fitting->size(), 0U);
  smaller.devices.push_back(device("d", mebibytes(4000), 5));
  EXPECT_FALSE(every_layout(model, smaller, {}).ok()) << "too many";
}

}  // namespace
}  // namespace caravan::plan
