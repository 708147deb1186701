#include "fabric/worker/heart.h"

#include <future>

#include <gtest/gtest.h>

namespace caravan::fabric::worker {
namespace {

TEST(FabricHeart, BeatsUntilItIsStopped) {
  std::promise<void> third;
  int beats = 0;
  {
    Heart heart([&] {
      if (++beats == 3) third.set_value();
    });
    heart.set(Milliseconds(1));
    third.get_future().wait();
  }
  EXPECT_GE(beats, 3);
}

TEST(FabricHeart, WithoutAnIntervalItIsStill) {
  int beats = 0;
  {
    Heart heart([&] { ++beats; });
    heart.set(Milliseconds(0));
    heart.set(Milliseconds(60000));
    heart.set(Milliseconds(0));
  }
  EXPECT_EQ(beats, 0);
}

}  // namespace
}  // namespace caravan::fabric::worker
