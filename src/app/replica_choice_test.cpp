#include "app/replica_choice.h"

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

TEST(ReplicaChoice, SpreadsRequestsEvenlyAndPrefersThisDevice) {
  ReplicaChoice choice;
  const std::vector<ReplicaOffer> offers{{"a", 0, false}, {"b", 0, true}, {"c", 0, false}};
  std::vector<std::shared_ptr<void>> leases;
  std::map<std::string, int> counts;
  for (int i = 0; i < 9; ++i) {
    const std::string& device = offers[choice.choose(offers)].device;
    if (i == 0) {
      EXPECT_EQ(device, "b");
    }
    ++counts[device];
    leases.push_back(choice.lease(device));
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
  ReplicaChoice choice;
  const std::vector<ReplicaOffer> offers{{"a", 0, true}, {"b", 0, false}};
  auto lease = choice.lease("a");
  EXPECT_EQ(choice.choose(offers), 1U);
  lease.reset();
  EXPECT_EQ(choice.choose(offers), 0U);
}

TEST(ReplicaChoice, WhatTheMastersOwnGatewayCarriesCountsElsewhereOnly) {
  const ReplicaChoice choice;
  EXPECT_EQ(choice.choose({{"a", 2, false}, {"b", 1, false}}), 1U);
  EXPECT_EQ(choice.choose({{"a", 2, true}, {"b", 1, false}}), 0U);
}

TEST(ReplicaChoice, ALeaseMayOutliveWhoGaveIt) {
  std::shared_ptr<void> lease;
  {
    ReplicaChoice choice;
    lease = choice.lease("a");
    choice.forget("a");
  }
  lease.reset();
}

}  // namespace
}  // namespace caravan::app
