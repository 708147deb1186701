#include "fabric/soak/soak.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"

namespace caravan::fabric::soak {
namespace {

/// A few of those that `./run bench soak` has thousands of.
TEST(FabricSoak, FaultsBecomeErrorsAndNothingElse) {
  const auto folder = TemporaryFolder::make("caravan-soak");
  ASSERT_TRUE(folder.ok());
  Settings settings;
  settings.folder = folder->path();
  settings.cases = 24;
  settings.lanes = 12;
  settings.patience = Milliseconds(1000);
  const Tally tally = soak(settings);
  EXPECT_THAT(tally.wrong, testing::IsEmpty());
  EXPECT_EQ(tally.cases, settings.cases);
}

}  // namespace
}  // namespace caravan::fabric::soak
