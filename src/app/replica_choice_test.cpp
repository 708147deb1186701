#include "app/replica_choice.h"

#include <set>

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

using gateway::PromptPrefix;
using std::chrono::seconds;

constexpr std::size_t kKilobyte = 1000;

PromptPrefix prompt(const std::string& text) {
  gateway::PromptHasher hasher;
  hasher.add(text);
  return hasher.prefix();
}

/// A conversation of so many thousand bytes; the same letter begins alike.
PromptPrefix conversation(char letter, std::size_t kilobytes) {
  return prompt(std::string(kilobytes * kKilobyte, letter));
}

/// 10 tokens/s, and 400 bytes of prompt a second.
ReplicaOffer offer(const std::string& device, int busy = 0, bool is_here = false) {
  ReplicaOffer one;
  one.device = device;
  one.order = {1, 1};
  one.busy = busy;
  one.is_here = is_here;
  one.figures = {1, 10, 100};
  return one;
}

/// What the gateway does with one request: chooses, and counts it until the lease ends.
struct Gateway {
  ReplicaChoice choice;
  TimePoint now{};

  std::pair<std::string, std::shared_ptr<void>> send(const std::vector<ReplicaOffer>& offers,
                                                     const PromptPrefix& prompt) {
    const ReplicaOffer& chosen = offers[choice.choose(offers, prompt, now)];
    return {chosen.device, choice.lease(chosen, prompt, now)};
  }
  /// One that is answered before the next is sent.
  std::string ask(const std::vector<ReplicaOffer>& offers, const PromptPrefix& prompt) {
    const std::string device = send(offers, prompt).first;
    now += seconds(30);
    return device;
  }
};

TEST(ReplicaChoice, SpreadsRequestsEvenlyAndPrefersThisDevice) {
  Gateway gateway;
  const std::vector<ReplicaOffer> offers{offer("a"), offer("b", 0, true), offer("c")};
  std::vector<std::shared_ptr<void>> leases;
  std::map<std::string, int> counts;
  for (int i = 0; i < 9; ++i) {
    auto [device, lease] = gateway.send(offers, PromptPrefix());
    if (i == 0) {
      EXPECT_EQ(device, "b");
    }
    ++counts[device];
    leases.push_back(std::move(lease));
  }
  EXPECT_EQ(counts, (std::map<std::string, int>{{"a", 3}, {"b", 3}, {"c", 3}}));
}

TEST(ModelMeant, TheOnlyOneHasAnyNameOfSeveralTheNameCounts) {
  EXPECT_EQ(model_meant({"a"}, "gpt-4"), "a");
  EXPECT_EQ(model_meant({"a"}, ""), "a");
  EXPECT_EQ(model_meant({"b", "a"}, "a"), "a");
  EXPECT_EQ(model_meant({"b", "a"}, ""), "b") << "the oldest";
  EXPECT_EQ(model_meant({"b", "a"}, "gpt-4"), std::nullopt);
  EXPECT_EQ(model_meant({}, "a"), std::nullopt);
}

TEST(ReplicaChoice, AFinishedRequestCountsNoMore) {
  Gateway gateway;
  const std::vector<ReplicaOffer> offers{offer("a", 0, true), offer("b")};
  auto lease = gateway.send(offers, PromptPrefix()).second;
  EXPECT_EQ(gateway.choice.choose(offers, PromptPrefix(), gateway.now), 1U);
  lease.reset();
  EXPECT_EQ(gateway.choice.choose(offers, PromptPrefix(), gateway.now), 0U);
}

TEST(ReplicaChoice, WhatOthersHaveSentThereCounts) {
  ReplicaChoice choice;
  EXPECT_EQ(choice.choose({offer("a", 2), offer("b", 1)}, PromptPrefix(), TimePoint{}), 1U);
  choice.reported("b", 3);
  EXPECT_EQ(choice.choose({offer("a", 2), offer("b", 0, true)}, PromptPrefix(), TimePoint{}), 0U);
  choice.reported("b", 0);
  EXPECT_EQ(choice.choose({offer("a", 2), offer("b", 0, true)}, PromptPrefix(), TimePoint{}), 1U);
}

TEST(ReplicaChoice, AReportThatIsLateDoesNotCountOnesOwnRequestsAgain) {
  Gateway gateway;
  const std::vector<ReplicaOffer> offers{offer("a"), offer("b")};
  const double idle = gateway.choice.expected(offers[0], PromptPrefix(), gateway.now);
  auto first = gateway.send({offers[0]}, PromptPrefix()).second;
  auto second = gateway.send({offers[0]}, PromptPrefix()).second;
  first.reset();
  second.reset();
  gateway.choice.reported("a", 2);  // as it was a second ago
  gateway.choice.reported("a", 2);  // another report, of the same look at the engine
  EXPECT_DOUBLE_EQ(gateway.choice.expected(offers[0], PromptPrefix(), gateway.now), idle);
  gateway.choice.reported("a", 2);
  EXPECT_GT(gateway.choice.expected(offers[0], PromptPrefix(), gateway.now), idle + 10)
      << "by now they must be of somebody else";
}

TEST(ReplicaChoice, AFasterReplicaMayHaveMoreToDo) {
  const ReplicaChoice choice;
  ReplicaOffer fast = offer("a", 1);
  fast.figures = {1, 40, 400};
  EXPECT_EQ(choice.choose({fast, offer("b", 1)}, PromptPrefix(), TimePoint{}), 0U);
  fast.busy = 5;
  EXPECT_EQ(choice.choose({fast, offer("b", 1)}, PromptPrefix(), TimePoint{}), 1U);
}

TEST(ReplicaChoice, AReplicaWithAFreePlaceIsNotWaitedFor) {
  const ReplicaChoice choice;
  ReplicaOffer wide = offer("a", 2);
  wide.figures.slots = 4;
  EXPECT_EQ(choice.choose({offer("b", 2), wide}, PromptPrefix(), TimePoint{}), 1U);
}

TEST(ReplicaChoice, AConversationStaysWhereItsPromptIsHeld) {
  Gateway gateway;
  const std::vector<ReplicaOffer> offers{offer("here", 0, true), offer("b"), offer("c")};
  auto others = gateway.send(offers, conversation('x', 1)).second;  // something else runs here
  const std::string first = gateway.ask(offers, conversation('a', 20));
  EXPECT_NE(first, "here");
  others.reset();
  for (std::size_t kilobytes = 21; kilobytes < 30; ++kilobytes)
    EXPECT_EQ(gateway.ask(offers, conversation('a', kilobytes)), first) << kilobytes;
}

TEST(ReplicaChoice, ABusyReplicaIsLeftWhenWaitingCostsMoreThanThePrompt) {
  Gateway gateway;
  const std::vector<ReplicaOffer> offers{offer("a", 0, true), offer("b")};
  EXPECT_EQ(gateway.ask(offers, conversation('p', 20)), "a");
  // 20 kB are 50 s to compute anew; an answer takes 20 s.
  gateway.choice.reported("a", 3);  // one is taken for our own
  EXPECT_EQ(gateway.ask(offers, conversation('p', 21)), "a");
  gateway.choice.reported("a", 4);
  EXPECT_EQ(gateway.ask(offers, conversation('p', 22)), "b");
  gateway.choice.reported("a", 0);
  EXPECT_EQ(gateway.ask(offers, conversation('p', 23)), "b") << "it has moved, and b holds more of it";
}

TEST(ReplicaChoice, TwoConversationsSpreadOverTwoReplicas) {
  Gateway gateway;
  const std::vector<ReplicaOffer> offers{offer("a", 0, true), offer("b")};
  std::map<char, std::set<std::string>> places;
  for (std::size_t turn = 0; turn < 6; ++turn) {
    for (const char letter : {'p', 'q'})
      places[letter].insert(gateway.ask(offers, conversation(letter, 4 + turn)));
  }
  EXPECT_EQ(places['p'], std::set<std::string>{"a"});
  EXPECT_EQ(places['q'], std::set<std::string>{"b"});
}

TEST(ReplicaChoice, ASlotForEachKeepsSeveralConversations) {
  Gateway gateway;
  std::vector<ReplicaOffer> offers{offer("a", 0, true), offer("b")};
  offers[0].figures.slots = 2;
  for (std::size_t turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(gateway.ask(offers, conversation('p', 4 + turn)), "a");
    EXPECT_EQ(gateway.ask(offers, conversation('q', 4 + turn)), "a");
  }
  EXPECT_EQ(gateway.ask(offers, conversation('r', 4)), "b") << "a third would push one of them out";
}

TEST(ReplicaChoice, AReplicaThatRestartedIsCold) {
  Gateway gateway;
  std::vector<ReplicaOffer> offers{offer("a"), offer("b")};
  const PromptPrefix long_one = conversation('p', 8);
  ASSERT_EQ(gateway.ask(offers, long_one), "a");
  const double warm = gateway.choice.expected(offers[0], long_one, gateway.now);
  offers[0].order = {1, 2};
  const double cold = gateway.choice.expected(offers[0], long_one, gateway.now);
  EXPECT_GT(cold, warm + 15) << "8 kB at 400 bytes a second";
  EXPECT_DOUBLE_EQ(cold, gateway.choice.expected(offers[1], long_one, gateway.now));
  gateway.choice.forget("a");
  offers[0].order = {1, 1};
  EXPECT_DOUBLE_EQ(gateway.choice.expected(offers[0], long_one, gateway.now), cold);
}

TEST(ReplicaChoice, WhatWasLongAgoIsOver) {
  Gateway gateway;
  const PromptPrefix long_one = conversation('p', 8);
  gateway.ask({offer("a")}, long_one);
  const double warm = gateway.choice.expected(offer("a"), long_one, gateway.now);
  gateway.now += ReplicaChoice::kRemembered;
  EXPECT_GT(gateway.choice.expected(offer("a"), long_one, gateway.now), warm + 15);
}

TEST(ReplicaChoice, OnlyTheNewestPromptsAreRemembered) {
  Gateway gateway;
  ReplicaOffer wide = offer("a");
  wide.figures.slots = 1000;
  const double unknown = gateway.choice.expected(wide, conversation('a', 8), gateway.now);
  for (char letter = '!'; letter < '!' + 80; ++letter) (void)gateway.send({wide}, conversation(letter, 8));
  std::size_t remembered = 0;
  for (char letter = '!'; letter < '!' + 80; ++letter) {
    const bool is_held = gateway.choice.expected(wide, conversation(letter, 8), gateway.now) < unknown - 10;
    remembered += is_held ? 1 : 0;
  }
  EXPECT_EQ(remembered, ReplicaChoice::kMostPrompts);
}

TEST(ReplicaChoice, OnlySoManyReplicasAreRemembered) {
  Gateway gateway;
  const PromptPrefix long_one = conversation('p', 8);
  for (int i = 0; i < 100; ++i) (void)gateway.send({offer("d" + std::to_string(i))}, long_one);
  std::size_t remembered = 0;
  for (int i = 0; i < 100; ++i) {
    const double expected = gateway.choice.expected(offer("d" + std::to_string(i)), long_one, gateway.now);
    remembered += expected < 10 ? 1 : 0;
  }
  EXPECT_EQ(remembered, ReplicaChoice::kMostReplicas);
}

TEST(ReplicaChoice, ALeaseMayOutliveWhoGaveIt) {
  std::shared_ptr<void> lease;
  {
    ReplicaChoice choice;
    lease = choice.lease(offer("a"), PromptPrefix(), TimePoint{});
    choice.forget("a");
  }
  lease.reset();
}

TEST(ReplicaFigures, AreReadFromTheDeployment) {
  const Json deployment = Json::parse(R"({"replicas":[
    {"parallel":4,"predicted":{"decode":12.5,"prefill":90},"shares":[{"device":"a","rank":0},{"device":"b","rank":1}]},
    {"shares":[{"device":"c","rank":0}]}]})");
  const auto figures = replica_figures(deployment);
  ASSERT_EQ(figures.size(), 2U);
  EXPECT_EQ(figures.at("a").slots, 4);
  EXPECT_EQ(figures.at("a").decode, 12.5);
  EXPECT_EQ(figures.at("a").prefill, 90);
  EXPECT_EQ(figures.at("c").slots, 1);
  EXPECT_EQ(figures.at("c").decode, 0);
  for (const char* text :
       {"null", "7", "[]", R"({"replicas":{"a":1}})", R"({"replicas":[1,{"shares":[1,{"rank":0}]}]})",
        R"({"replicas":[{"parallel":1e300,"shares":[{"rank":0,"device":7}]}]})"})
    EXPECT_TRUE(replica_figures(Json::parse(text)).empty()) << text;
}

}  // namespace
}  // namespace caravan::app
