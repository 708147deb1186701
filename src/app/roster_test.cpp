#include "app/roster.h"

#include <fstream>

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

struct RosterTest : testing::Test {
  TemporaryFolder folder = TemporaryFolder::make("roster").value();
  Roster open(const std::string& place, const std::string& name) {
    return std::move(Roster::open(folder.path() / place, name, "home")).value();
  }
  /// `joiner` as it is after pairing with `owner`, whose document it has.
  static link::PublicKey key_of(const Roster& roster) { return roster.identity().public_key(); }
};

TEST_F(RosterTest, AFreshDeviceBeginsAClusterAndFindsItAgain) {
  std::string id;
  {
    const Roster first = open("a", "phone");
    id = first.self();
    EXPECT_TRUE(first.is_owner());
    EXPECT_EQ(first.members(), std::set<std::string>{id});
  }
  const Roster again = open("a", "another name");
  EXPECT_EQ(again.self(), id);
  EXPECT_EQ(again.name_of(id), "phone");
}

TEST_F(RosterTest, AChangeIsOnTheDiskAndToldOnce) {
  Roster owner = open("a", "phone");
  const Roster other = open("b", "tablet");
  int told = 0;
  owner.on_change([&] { ++told; });
  ASSERT_TRUE(owner.add(key_of(other), "tablet"));
  EXPECT_EQ(told, 1);
  EXPECT_EQ(open("a", "").members(), (std::set<std::string>{owner.self(), other.self()}));
  ASSERT_TRUE(owner.rename(other.self(), "kitchen"));
  EXPECT_EQ(owner.find("kitchen").value(), other.self());
  ASSERT_TRUE(owner.remove(other.self()));
  EXPECT_EQ(open("a", "").members(), std::set<std::string>{owner.self()});
}

TEST_F(RosterTest, NamesStayApart) {
  Roster owner = open("a", "phone");
  const Roster other = open("b", "phone");
  ASSERT_TRUE(owner.add(key_of(other), "phone"));
  EXPECT_NE(owner.name_of(other.self()), "phone");
  EXPECT_FALSE(owner.rename(other.self(), "phone"));
  EXPECT_EQ(owner.find("phone").value(), owner.self());
}

TEST_F(RosterTest, IdsInTextsBecomeNames) {
  Roster owner = open("a", "phone");
  EXPECT_EQ(owner.with_names("lost " + owner.self() + ", " + owner.self()), "lost phone, phone");
  EXPECT_EQ(owner.with_names("nothing"), "nothing");
}

TEST_F(RosterTest, WhatCannotBeWrittenHasNotHappened) {
  Roster owner = open("a", "phone");
  const Roster other = open("b", "tablet");
  fs::remove_all(folder.path() / "a");
  std::ofstream(folder.path() / "a") << "a file where the folder was";
  int told = 0;
  owner.on_change([&] { ++told; });
  EXPECT_FALSE(owner.add(key_of(other), "tablet"));
  EXPECT_EQ(told, 0);
  EXPECT_EQ(owner.members().size(), 1U);
}

TEST_F(RosterTest, OnlyOwnersChangeOthersAndTheErrorSaysWhoCan) {
  Roster owner = open("a", "phone");
  Roster other = open("b", "tablet");
  ASSERT_TRUE(owner.add(key_of(other), "tablet"));
  EXPECT_FALSE(other.accept(owner.membership().document())) << "it is in a cluster of its own";
  EXPECT_FALSE(owner.remove("nobody"));
}

}  // namespace
}  // namespace caravan::app
