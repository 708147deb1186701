#include "plan/speculation.h"

#include <gmock/gmock.h>

#include "plan/layout.h"
#include "plan/planner.h"
#include "plan/planner_testing.h"

namespace caravan::plan {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing_support::cluster;
using testing_support::device;
using testing_support::transformer;

/// A step of one token takes a second, each further one of a sequence `more`.
SpeculationQuestion question(double more) {
  SpeculationQuestion question;
  question.step_seconds = [more](int tokens) { return 1 + more * (tokens - 1); };
  question.vocabulary = 1000;
  question.room = mebibytes(100);
  return question;
}

TEST(Speculation, PaysWhereAFurtherTokenCostsLittle) {
  const auto cheap = choose_speculation(question(0.02));
  ASSERT_TRUE(cheap.is_on()) << cheap.reason;
  EXPECT_EQ(cheap.draft, 15) << "the cheaper, the more are guessed";
  EXPECT_GE(cheap.draft, cheap.lookup) << "else the engine guesses nothing";
  EXPECT_DOUBLE_EQ(cheap.repeating, (1 + expected_accepted(15)) / 1.3);
  EXPECT_DOUBLE_EQ(cheap.refused, 1 / 1.3);
  EXPECT_THAT(cheap.reason, HasSubstr("15 tokens are guessed when the last 8 have occurred before"));
  const auto dearer = choose_speculation(question(0.2));
  EXPECT_EQ(dearer.draft, 7) << dearer.reason;
}

TEST(Speculation, NotWhereAFurtherTokenCostsAsMuchAsTheFirst) {
  const auto dear = choose_speculation(question(1));
  EXPECT_FALSE(dear.is_on());
  EXPECT_EQ(dear.lookup, 0);
  EXPECT_THAT(dear.reason, HasSubstr("a wrong guess of 7 would take as long as 8.0 tokens"));
}

TEST(Speculation, AWrongGuessNeverTakesLongerThanThreeTokens) {
  for (double more = 0; more < 1; more += 0.01) {
    const auto chosen = choose_speculation(question(more));
    if (!chosen.is_on()) continue;
    EXPECT_GE(chosen.refused, 1 / 3.0 - 1e-9) << more;
    EXPECT_GE(chosen.repeating, 1.3) << more;
  }
}

TEST(Speculation, IsWhatThePersonSays) {
  auto none = question(0);
  none.wish = SpeculationWish::none;
  EXPECT_FALSE(choose_speculation(none).is_on());
  EXPECT_THAT(choose_speculation(none).reason, HasSubstr("as asked for"));
  auto always = question(1);
  always.wish = SpeculationWish::ngram;
  EXPECT_TRUE(choose_speculation(always).is_on());
  for (const auto wish : {SpeculationWish::automatic, SpeculationWish::none, SpeculationWish::ngram})
    EXPECT_EQ(speculation_wish_from(name_of(wish)), wish);
  EXPECT_EQ(speculation_wish_from("draft"), std::nullopt);
}

TEST(Speculation, NotWhereTheEngineCannot) {
  auto recurrent = question(0);
  recurrent.can_take_back = false;
  EXPECT_THAT(choose_speculation(recurrent).reason, HasSubstr("recurrent"));
  auto sampled = question(0);
  sampled.worker_samples = true;
  EXPECT_THAT(choose_speculation(sampled).reason, HasSubstr("last worker"));
  auto full = question(0);
  full.parallel = 9;
  full.micro_batch = 64;
  EXPECT_THAT(choose_speculation(full).reason, HasSubstr("9 sequences fill"));
  full.parallel = 8;
  EXPECT_EQ(choose_speculation(full).draft, 7);
  auto tight = question(0);
  tight.room = Bytes{11 * 1000 * 8};
  EXPECT_EQ(choose_speculation(tight).draft, 11) << "logits of 15 have no room";
  tight.room = Bytes{};
  EXPECT_THAT(choose_speculation(tight).reason, HasSubstr("memory"));
}

TEST(Speculation, HopsArePaidOnce) {
  const auto model = transformer(32, mebibytes(60), mebibytes(100));
  const auto devices = cluster({device("a", mebibytes(1600), 8), device("b", mebibytes(1600), 8)});
  for (const DataPath path : {DataPath::fabric, DataPath::rpc}) {
    Usage usage;
    usage.context = 1024;
    usage.data_path = path;
    const Workload work = workload_of(model, usage);
    const LayoutPlanner planner(work, devices, usage);
    const std::vector<std::size_t> used{0, 1};
    const std::vector<int> counts{16, 16};
    const double one = planner.step_seconds(used, counts, Head::master, 1);
    EXPECT_DOUBLE_EQ(planner.predict(used, counts, Head::master).decode, 1 / one);
    auto far = devices;
    far.usual.round_trip += 0.1;
    const LayoutPlanner far_planner(work, far, usage);
    EXPECT_NEAR(far_planner.step_seconds(used, counts, Head::master, 8) -
                    planner.step_seconds(used, counts, Head::master, 8),
                far_planner.step_seconds(used, counts, Head::master, 1) - one, 1e-9)
        << "waiting for the network is the same for eight tokens as for one";
  }
}

TEST(Speculation, IsInThePlanWithItsReason) {
  const auto model = transformer(32, mebibytes(60), mebibytes(100));
  const auto devices = cluster({device("a", mebibytes(1600), 8), device("b", mebibytes(1600), 8)});
  const auto usual = propose(model, devices, {.context = 1024});
  ASSERT_TRUE(usual.ok()) << usual.error().message;
  const Speculation& speculation = usual->replicas.front().speculation;
  EXPECT_TRUE(speculation.is_on()) << speculation.reason;
  EXPECT_THAT(usual->reasons, Contains(speculation.reason));
  for (const Share& share : usual->replicas.front().shares) EXPECT_LE(share.total(), share.budget);
  const auto without = propose(model, devices, {.context = 1024, .speculation = SpeculationWish::none});
  ASSERT_TRUE(without.ok());
  EXPECT_FALSE(without->replicas.front().speculation.is_on());
  EXPECT_THAT(without->reasons, Contains(HasSubstr("as asked for")));
  EXPECT_EQ(without->predicted.decode, usual->predicted.decode) << "what is predicted is text that is new";
  auto recurrent = model;
  recurrent.layer_facts.front().state = 1000;
  EXPECT_FALSE(propose(recurrent, devices, {.context = 1024})->replicas.front().speculation.is_on());
}

TEST(Speculation, KeepsRoomForLogitsUnlessTheModelNeedsIt) {
  const auto model = transformer(32, mebibytes(60), mebibytes(100));
  const auto plan_with = [&](Bytes memory, SpeculationWish wish) {
    return propose(model, cluster({device("a", memory, 8)}), {.context = 1024, .speculation = wish});
  };
  const auto roomy = plan_with(mebibytes(4000), SpeculationWish::none);
  ASSERT_TRUE(roomy.ok()) << roomy.error().message;
  const Bytes least = roomy->replicas.front().shares.front().total();
  const auto exact = plan_with(least, SpeculationWish::automatic);
  ASSERT_TRUE(exact.ok()) << exact.error().message;
  EXPECT_FALSE(exact->replicas.front().speculation.is_on());
  EXPECT_THAT(exact->reasons, Contains(HasSubstr("no memory for their logits")));
  const Bytes logits = memory_of_guesses(32000, 1, 7);
  const auto more = plan_with(least + logits, SpeculationWish::ngram);
  ASSERT_TRUE(more.ok());
  EXPECT_EQ(more->replicas.front().speculation.draft, 7);
  EXPECT_EQ(more->replicas.front().shares.front().total(), least + logits);
}

}  // namespace
}  // namespace caravan::plan
