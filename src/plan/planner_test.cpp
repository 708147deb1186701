#include "plan/planner.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <gmock/gmock.h>

#include "base/units.h"
#include "plan/layout.h"
#include "plan/planner_testing.h"
#include "plan/speculation.h"

namespace caravan::plan {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

std::vector<std::string> names_of(const Plan& plan) {
  std::vector<std::string> names;
  for (const Share& share : plan.shares) names.push_back(share.device);
  return names;
}

const LeftOut* left_out(const Proposal& proposal, const std::string& name) {
  const auto found = std::find_if(proposal.left_out.begin(), proposal.left_out.end(),
                                  [&](const LeftOut& entry) { return entry.device == name; });
  return found == proposal.left_out.end() ? nullptr : &*found;
}

TEST(Planner, WhatFitsOnOneDeviceIsNotSplit) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  const auto proposal = propose(model,
                                cluster({device("a", mebibytes(4000), 5), device("b", mebibytes(4000), 9),
                                         device("c", mebibytes(4000), 7)}),
                                {});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  ASSERT_EQ(proposal->replicas.size(), 1U);
  EXPECT_EQ(names_of(proposal->replicas.front()), std::vector<std::string>{"b"})
      << "the fastest of those that hold it";
  EXPECT_THAT(proposal->reasons, Contains(HasSubstr("fits on b alone")));
  ASSERT_NE(left_out(*proposal, "a"), nullptr);
  EXPECT_THAT(left_out(*proposal, "a")->reason, HasSubstr("would slow you from"));
}

TEST(Planner, ALargeModelIsSplitWhereItIsFastest) {
  const auto model = transformer(32, mebibytes(60), mebibytes(100));
  const auto proposal =
      propose(model,
              cluster({device("slow", mebibytes(1600), 2), device("fast", mebibytes(1600), 10),
                       device("middle", mebibytes(1600), 6)}),
              {.context = 1024});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  const Plan& plan = proposal->replicas.front();
  EXPECT_THAT(names_of(plan), testing::UnorderedElementsAre("fast", "middle"))
      << "two hold it: the third would only slow it";
  EXPECT_EQ(plan.shares[0].layer_count + plan.shares[1].layer_count, 32);
  const Share& fast = plan.shares[plan.shares[0].device == "fast" ? 0 : 1];
  EXPECT_GT(fast.layer_count, 16) << "the fast one carries what it can";
  for (const Share& share : plan.shares) EXPECT_LE(share.total(), share.budget) << share.device;
  EXPECT_THAT(proposal->alternatives,
              Contains(testing::Field(&Alternative::what, HasSubstr("without fast"))));
}

TEST(Planner, MemoryIsTheLimitAndEveryDeviceKeepsToIt) {
  std::mt19937 random(7);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  int planned = 0;
  for (int round = 0; round < 300; ++round) {
    const auto model =
        transformer(pick(4, 40), mebibytes(static_cast<std::uint64_t>(pick(5, 80))), mebibytes(100));
    std::vector<DeviceProfile> devices;
    for (int i = pick(1, 5); i > 0; --i) {
      devices.push_back(device("d" + std::to_string(i),
                               mebibytes(static_cast<std::uint64_t>(pick(100, 3000))), pick(1, 10)));
    }
    const auto proposal = propose(model, cluster(devices), {.context = 512 * pick(1, 8)});
    if (!proposal) {
      EXPECT_EQ(proposal.error().code, Code::exhausted);
      EXPECT_THAT(proposal.error().message, HasSubstr("missing"));
      continue;
    }
    ++planned;
    const Plan& plan = proposal->replicas.front();
    int layers = 0;
    for (const Share& share : plan.shares) {
      EXPECT_EQ(share.first_layer, layers);
      EXPECT_LE(share.total(), share.budget);
      EXPECT_GE(share.layer_count, share.rank > 0 ? 1 : 0);
      layers += share.layer_count;
    }
    EXPECT_EQ(layers, static_cast<int>(model.n_layers()));
    EXPECT_GT(plan.predicted.decode, 0);
  }
  EXPECT_GT(planned, 100);
}

TEST(Planner, TheFabricPaysOneWayForEachHopAndRpcARoundTripForEachWorker) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  const auto all = cluster(
      {device("a", mebibytes(4000), 5), device("b", mebibytes(4000), 5), device("c", mebibytes(4000), 5)});
  const auto seconds = [&](DataPath path, std::vector<std::size_t> devices, const std::vector<int>& counts) {
    const Usage usage{.context = 512, .data_path = path};
    const Workload work = workload_of(model, usage);
    return 1 / LayoutPlanner(work, all, usage).predict(devices, counts, Head::master).decode;
  };
  const double alone = seconds(DataPath::fabric, {0}, {24});
  EXPECT_DOUBLE_EQ(alone, seconds(DataPath::rpc, {0}, {24}));
  const double two = seconds(DataPath::fabric, {0, 1}, {12, 12});
  const double three = seconds(DataPath::fabric, {0, 1, 2}, {8, 8, 8});
  const double without_own_layers = seconds(DataPath::fabric, {0, 1, 2}, {0, 12, 12});
  const double one_way = 0.0047 / 2;
  EXPECT_NEAR(two - alone, 2 * one_way, 0.003);
  EXPECT_NEAR(three - two, one_way, 0.0015);
  EXPECT_NEAR(three, without_own_layers, 1e-9) << "the master's own layers cost no hop";
  EXPECT_GT(seconds(DataPath::rpc, {0, 1, 2}, {8, 8, 8}) - alone, 4 * 0.0047);
}

TEST(Planner, WhatATraceHasShownOfHandlingTakesThePlaceOfTheGuess) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  auto all = cluster(
      {device("a", mebibytes(4000), 5), device("b", mebibytes(4000), 5), device("c", mebibytes(4000), 5)});
  const auto predicted = [&]() {
    const Usage usage{.context = 512, .data_path = DataPath::fabric};
    const Workload work = workload_of(model, usage);
    return LayoutPlanner(work, all, usage).predict({0, 1, 2}, {8, 8, 8}, Head::master);
  };
  const Prediction guessed = predicted();
  all.handling = kUsualHandling + 0.001;
  const Prediction shown = predicted();
  EXPECT_NEAR(1 / shown.decode - 1 / guessed.decode, 3 * 0.001, 1e-9) << "three ways";
  EXPECT_NEAR(shown.air, guessed.air, 1e-12) << "what the air takes is another thing";
  EXPECT_NEAR(guessed.air, 3 * 0.0047 / 2, 0.001);
}

TEST(Planner, PromptsOverlapInTheFabric) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  const auto all = cluster({device("a", mebibytes(4000), 5), device("b", mebibytes(4000), 5)}, 0.0007, 310);
  const Usage usage{.context = 512, .data_path = DataPath::fabric};
  const Workload work = workload_of(model, usage);
  const LayoutPlanner planner(work, all, usage);
  const double alone = planner.predict({0}, {24}, Head::master).prefill;
  const Prediction halves = planner.predict({0, 1}, {12, 12}, Head::master);
  EXPECT_GT(halves.prefill, 1.3 * alone);
  EXPECT_GT(halves.prefill, 1.2 * planner.predict({0, 1}, {20, 4}, Head::master).prefill)
      << "the slowest stage sets the pace";
  EXPECT_LT(halves.load_again, halves.load / 3) << "nothing is sent again";
}

TEST(Planner, RoomForGuessingDoesNotForceASplit) {
  const auto model = transformer(12, mebibytes(20), mebibytes(40));
  const auto fast = [](Bytes memory) { return device("fast", memory, 8); };
  const auto slow = device("slow", mebibytes(4000), 2);
  Wishes wishes;
  wishes.context = 512;
  Wishes silent = wishes;
  silent.speculation = SpeculationWish::none;
  const auto roomy = propose(model, cluster({fast(mebibytes(4000)), slow}), silent);
  ASSERT_TRUE(roomy.ok() && roomy->replicas[0].shares.size() == 1);
  const Bytes least = roomy->replicas[0].shares[0].total();
  ASSERT_GT(memory_of_guesses(32000, 1).count, mebibytes(1).count);
  const auto tight = propose(model, cluster({fast(least + mebibytes(1)), slow}), wishes);
  ASSERT_TRUE(tight.ok()) << tight.error().message;
  EXPECT_THAT(names_of(tight->replicas[0]), testing::ElementsAre("fast"));
  EXPECT_FALSE(tight->replicas[0].speculation.is_on());
}

TEST(Planner, TheHeadGoesWhereItIsFaster) {
  const auto model = transformer(24, mebibytes(40), mebibytes(400));
  const auto slow = device("slow", mebibytes(700), 2);
  const auto fast = device("fast", mebibytes(2000), 9);
  const auto on_fast =
      propose(model, cluster({slow, fast}), {.context = 512, .use = {"slow", "fast"}, .masters = {"slow"}});
  ASSERT_TRUE(on_fast.ok()) << on_fast.error().message;
  EXPECT_EQ(on_fast->replicas[0].head, Head::last_worker);
  EXPECT_THAT(on_fast->reasons, Contains(HasSubstr("goes to fast, which chooses tokens too")));
  const auto on_master =
      propose(model, cluster({slow, fast}), {.context = 512, .use = {"slow", "fast"}, .masters = {"fast"}});
  ASSERT_TRUE(on_master.ok()) << on_master.error().message;
  EXPECT_EQ(on_master->replicas[0].head, Head::master);
  const Prediction& all = on_master->predicted;
  EXPECT_GT(all.load_again, 0) << "of the replicas together too";
  EXPECT_EQ(all.load_again, on_master->replicas[0].predicted.load_again);
}

TEST(Planner, SharesSayWhatEachTakesOfAToken) {
  const auto model = transformer(24, mebibytes(40), mebibytes(400));
  const auto all = cluster({device("slow", mebibytes(700), 2), device("fast", mebibytes(2000), 9)});
  const auto proposal = propose(model, all, {.context = 512, .use = {"slow", "fast"}, .masters = {"slow"}});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  const Plan& plan = proposal->replicas[0];
  ASSERT_EQ(plan.data_path, DataPath::fabric);
  ASSERT_EQ(plan.head, Head::last_worker);
  double seconds = hand_on_seconds(*all.link(all.devices[0], all.devices[1]), 1, 1);  // the way back
  for (const Share& share : plan.shares) {
    EXPECT_EQ(share.compute > 0, share.layer_count > 0);
    EXPECT_EQ(share.hop > 0, share.rank > 0);
    seconds += share.compute + share.hop;
  }
  EXPECT_NEAR(seconds, 1 / plan.predicted.decode, 1e-9);
}

TEST(Planner, HandsOnOverTheBestLinks) {
  // Each worker is as good as the other; "b" is next to "d", and "c" to nobody.
  const auto model = transformer(32, mebibytes(40), mebibytes(80));
  auto all = cluster({device("a", mebibytes(500), 5), device("b", mebibytes(500), 5),
                      device("c", mebibytes(500), 5), device("d", mebibytes(500), 5)});
  all.links[{"b", "d"}] = Link{0.0005, 60e6};
  const auto proposal = propose(model, all, {.context = 512, .masters = {"a"}});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  const auto names = names_of(proposal->replicas[0]);
  const auto b = std::find(names.begin(), names.end(), "b") - names.begin();
  const auto d = std::find(names.begin(), names.end(), "d") - names.begin();
  EXPECT_EQ(std::abs(b - d), 1) << testing::PrintToString(names);
}

TEST(Planner, TakesTheNumberOfThreadsThatIsBestForTheModel) {
  auto many = device("many", mebibytes(4000), 5);  // with 4 threads
  DeviceSpeed two = device("", Bytes{}, 7);
  two.threads = 2;
  DeviceSpeed six = device("", Bytes{}, 7.1);
  six.threads = 6;
  many.with_other_threads = {six, two};
  many.is_measured = true;
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  const auto proposal = propose(model, cluster({many}), {});
  ASSERT_TRUE(proposal.ok());
  EXPECT_EQ(proposal->replicas[0].shares[0].threads, 2) << "four are slower, six hardly faster";
  EXPECT_THAT(proposal->replicas[0].shares[0].reason,
              HasSubstr("2 threads, the fastest for these layers of 2, 4, 6 that were measured"));
}

TEST(Planner, AKvCacheThatDoesNotFitIsQuantizedThenTheContextShrinks) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80), 4096);  // 4 KiB a token and layer
  const auto plan_with = [&](std::uint64_t megabytes, std::optional<int> context) {
    return propose(model, cluster({device("a", mebibytes(megabytes), 5)}), {.context = context});
  };
  const auto roomy = plan_with(2000, 4096);
  ASSERT_TRUE(roomy.ok()) << roomy.error().message;
  EXPECT_EQ(roomy->replicas[0].kv, model::KvType::f16);
  const Bytes all = roomy->replicas[0].shares[0].total();
  const Bytes kv = roomy->replicas[0].shares[0].kv_cache;
  const auto tight = plan_with((all.count - kv.count / 3) >> 20U, 4096);
  ASSERT_TRUE(tight.ok()) << tight.error().message;
  EXPECT_EQ(tight->replicas[0].kv, model::KvType::q8_0);
  EXPECT_THAT(tight->reasons, Contains(HasSubstr("q8_0")));
  const auto tighter = plan_with((all.count - kv.count * 2 / 3) >> 20U, std::nullopt);
  ASSERT_TRUE(tighter.ok()) << tighter.error().message;
  EXPECT_LT(tighter->replicas[0].context, 4096);
  EXPECT_THAT(tighter->reasons, Contains(HasSubstr("instead of 4096")));
  const auto too_tight = plan_with((all.count - kv.count * 2 / 3) >> 20U, 4096);
  ASSERT_FALSE(too_tight.ok());
  EXPECT_THAT(too_tight.error().hint, HasSubstr("a context of 2048 would fit"));
}

TEST(Planner, WhatDoesNotFitSaysWhatWould) {
  const auto model = transformer(32, mebibytes(100), mebibytes(100));
  const auto proposal = propose(
      model, cluster({device("a", mebibytes(1000), 5), device("b", mebibytes(1700), 5)}), {.context = 512});
  ASSERT_FALSE(proposal.ok());
  EXPECT_EQ(proposal.error().code, Code::exhausted);
  EXPECT_THAT(proposal.error().message, HasSubstr("of 32 layers find room"));
  EXPECT_THAT(proposal.error().hint, HasSubstr("Q2_K would fit"));
  EXPECT_THAT(proposal.error().hint, HasSubstr("one more device with"));
}

TEST(Planner, WhatDoesNotFitCountsOnlyWhatMayBeUsed) {
  const auto model = transformer(32, mebibytes(100), mebibytes(100));
  const auto proposal =
      propose(model, cluster({device("a", mebibytes(9000), 5), device("b", mebibytes(6000), 5)}),
              {.context = 512, .avoid = {"a"}, .keep_free = mebibytes(5000)});
  ASSERT_FALSE(proposal.ok());
  EXPECT_THAT(proposal.error().message, HasSubstr("(1 device offers " + format_bytes(mebibytes(1000)) + ")"));
  EXPECT_THAT(proposal.error().hint, HasSubstr("one more device with"))
      << "as large as what is kept free asks";
}

TEST(Planner, ThroughputRunsAReplicaOnEachDeviceThatHoldsTheModel) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  const auto three = cluster(
      {device("a", mebibytes(4000), 5), device("b", mebibytes(4000), 5), device("c", mebibytes(4000), 5)});
  const auto proposal = propose(model, three, {.objective = Objective::throughput, .context = 1024});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  EXPECT_EQ(proposal->replicas.size(), 3U);
  const auto single =
      propose(model, cluster({three.devices[0]}), {.objective = Objective::throughput, .context = 1024});
  ASSERT_TRUE(single.ok());
  EXPECT_GT(proposal->predicted.decode, 1.5 * single->predicted.decode);
}

TEST(Planner, FitTakesTheLongestContext) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80), 4096);
  const auto proposal =
      propose(model, cluster({device("a", mebibytes(900), 5), device("b", mebibytes(900), 5)}),
              {.objective = Objective::fit});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  EXPECT_EQ(proposal->replicas[0].context, 8192) << "what it was trained with";
}

TEST(Planner, WishesAreKept) {
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  const auto two = cluster({device("a", mebibytes(4000), 5), device("b", mebibytes(4000), 9)});
  const auto used = propose(model, two, {.use = {"a", "b"}});
  ASSERT_TRUE(used.ok());
  EXPECT_EQ(used->replicas[0].shares.size(), 2U);
  const auto avoided = propose(model, two, {.avoid = {"b"}});
  ASSERT_TRUE(avoided.ok());
  EXPECT_EQ(names_of(avoided->replicas[0]), std::vector<std::string>{"a"});
  EXPECT_EQ(left_out(*avoided, "b")->reason, "to be avoided");
  const auto unknown = propose(model, two, {.use = {"bb"}});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Code::invalid);
  EXPECT_FALSE(propose(model, two, {.use = {"a"}, .avoid = {"a"}}).ok());
  const auto kept_free = propose(model, two, {.avoid = {"b"}, .keep_free = mebibytes(3900)});
  EXPECT_FALSE(kept_free.ok());
}

TEST(Planner, AFirstTokenInTimeMayCostSpeed) {
  // "reader" computes prompts fast, "writer" reads weights fast.
  auto reader = device("reader", mebibytes(4000), 5);
  reader.kernels["q4_0"].prefill_repacked *= 20;
  const auto writer = device("writer", mebibytes(4000), 6);
  const auto model = transformer(24, mebibytes(10), mebibytes(80));
  const auto free = propose(model, cluster({reader, writer}), {});
  ASSERT_TRUE(free.ok());
  const double asked = free->predicted.first_token / 3;
  const auto in_time = propose(model, cluster({reader, writer}), {.first_token_within = asked});
  ASSERT_TRUE(in_time.ok());
  EXPECT_LE(in_time->predicted.first_token, asked);
}

TEST(Planner, TwoThatOnlyConnectOutwardsCannotWorkTogether) {
  auto a = device("a", mebibytes(1000), 5);
  auto b = device("b", mebibytes(1000), 5);
  const auto model = transformer(24, mebibytes(40), mebibytes(80));
  ASSERT_TRUE(propose(model, cluster({a, b}), {.context = 512}).ok());
  a.accepts = false;
  EXPECT_TRUE(propose(model, cluster({a, b}), {.context = 512}).ok()) << "one way is enough";
  b.accepts = false;
  EXPECT_FALSE(propose(model, cluster({a, b}), {.context = 512}).ok());
}

TEST(Planner, AThousandDevicesAndManyLayers) {
  std::vector<DeviceProfile> devices;
  for (int i = 0; i < 1000; ++i) {
    devices.push_back(device("device-" + std::to_string(i),
                             mebibytes(static_cast<std::uint64_t>(300 + (i * 37) % 500)), 1 + i % 7));
  }
  const auto model = transformer(128, mebibytes(100), mebibytes(100));
  const auto proposal = propose(model, cluster(devices), {.context = 512});
  ASSERT_TRUE(proposal.ok()) << proposal.error().message;
  int layers = 0;
  for (const Share& share : proposal->replicas[0].shares) layers += share.layer_count;
  EXPECT_EQ(layers, 128);
}

TEST(Planner, TheSameInputGivesTheSamePlan) {
  const auto model = transformer(32, mebibytes(60), mebibytes(100));
  const auto some = cluster(
      {device("x", mebibytes(900), 4), device("y", mebibytes(900), 4), device("z", mebibytes(900), 4)});
  const auto one = propose(model, some, {.context = 1024});
  const auto two = propose(model, some, {.context = 1024});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(names_of(one->replicas[0]), names_of(two->replicas[0]));
  EXPECT_EQ(one->reasons, two->reasons);
  EXPECT_EQ(names_of(one->replicas[0]).front(), "x") << "of equals the first";
}

}  // namespace
}  // namespace caravan::plan
