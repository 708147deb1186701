#include "app/whereabouts.h"

#include <gmock/gmock.h>

namespace caravan::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WhereaboutsTest : public ::testing::Test {
 protected:
  fs::path file() const { return folder_.path() / "addresses.json"; }

  TemporaryFolder folder_ = TemporaryFolder::make("whereabouts").value();
};

const link::LinkAddress kOne{"10.0.0.1", 7433};
const link::LinkAddress kTwo{"10.0.0.2", 7433};
const link::LinkAddress kThree{"fd00::3", 7000};

TEST_F(WhereaboutsTest, WhatADeviceSaysItselfIsTriedFirstAndWhatOthersTellLast) {
  Whereabouts where(file());
  where.used("c", kTwo);
  EXPECT_TRUE(where.told("b", {{"c", "fd00::3", 7000}, {"c", "10.0.0.2", 7433}, {"d", "10.0.0.9", 7433}}));
  EXPECT_THAT(where.all("c", {kOne}), ElementsAre(kOne, kTwo, kThree));
  EXPECT_THAT(where.known("c"), ElementsAre(kTwo));
  EXPECT_THAT(where.all("e", {}), IsEmpty());
}

TEST_F(WhereaboutsTest, OnlyNewsIsNewsAndReplacesWhatWasTold) {
  Whereabouts where(file());
  EXPECT_TRUE(where.told("b", {{"c", "10.0.0.1", 7433}}));
  EXPECT_FALSE(where.told("b", {{"c", "10.0.0.1", 7433}}));
  EXPECT_TRUE(where.told("b", {{"c", "10.0.0.2", 7433}}));
  EXPECT_THAT(where.all("c", {}), ElementsAre(kTwo));
}

TEST_F(WhereaboutsTest, NamesAndTooManyAreLeftOut) {
  Whereabouts where(file());
  EXPECT_FALSE(where.told("b", {{"c", "evil.example", 7433}, {"c", "", 7433}}));
  std::vector<cluster::Place> many;
  for (int i = 1; i < 100; ++i) many.push_back({"c", "10.0.0." + std::to_string(i), 7433});
  where.told("b", many);
  EXPECT_THAT(where.all("c", {}), SizeIs(Whereabouts::kMostTried));
}

const std::string kB(32, 'b');  // as long as ids are: the file is checked
const std::string kC(32, 'c');

TEST_F(WhereaboutsTest, WhatWasUsedOutlivesARestartAndWhoIsNoMemberIsForgotten) {
  {
    Whereabouts where(file());
    where.used(kB, kOne);
    where.used(kC, kTwo);
  }
  Whereabouts where(file());
  where.told("d", {{kC, "fd00::3", 7000}});
  EXPECT_THAT(where.all(kC, {}), ElementsAre(kTwo, kThree));
  where.keep_only({kB});
  EXPECT_THAT(where.all(kB, {}), ElementsAre(kOne));
  EXPECT_THAT(where.all(kC, {}), IsEmpty());
}

}  // namespace
}  // namespace caravan::app
