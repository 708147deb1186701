#include "fabric/worker/inlet.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "fabric/worker/testing.h"

namespace caravan::fabric::worker {
namespace {

using testing::frame_of;
using testing::socket_pair;

SteadyTime late() { return Clock::now() + std::chrono::seconds(60); }

/// An inlet whose own thread reads, and who has read each of the frames.
class InletTest : public ::testing::Test {
 protected:
  void TearDown() override {
    inlet_.end();
    inlet_.give_back();
    thread_.join();
  }
  void write(std::string_view bytes) { ASSERT_TRUE(there_.write_all(bytes, Milliseconds(10000)).ok()); }
  void write_frame() { write(frame_of(HandOff{1, 1, 0, Format::as_is, "x"})); }
  void until_read(int count) const {
    while (count_ < count) std::this_thread::yield();
  }
  void take_over() {
    while (!inlet_.take_over()) std::this_thread::yield();
  }

  std::pair<Descriptor, Descriptor> ends_ = socket_pair();
  Channel here_ = std::move(*Channel::adopt(std::move(ends_.first)));
  Channel there_ = std::move(*Channel::adopt(std::move(ends_.second)));
  FrameReader reader_{here_, {Role::peer, true}};
  std::atomic<int> count_{0};
  std::atomic<std::thread::id> who_;
  Inlet inlet_{here_, reader_, [this](const Frame&) -> Result<void> {
                 who_ = std::this_thread::get_id();
                 ++count_;
                 return {};
               }};
  Error end_;
  std::thread thread_{[this] { end_ = inlet_.serve(); }};
};

TEST_F(InletTest, IsReadByItsOwnThreadUnlessAnotherHasTakenOver) {
  write_frame();
  until_read(1);
  EXPECT_EQ(who_, thread_.get_id());
  take_over();
  write_frame();
  write_frame();
  for (int i = 2; i <= 3; ++i) {
    EXPECT_TRUE(inlet_.read_one(late()));
    EXPECT_EQ(count_, i);
    EXPECT_EQ(who_, std::this_thread::get_id());
  }
  write_frame();
  inlet_.give_back();
  write_frame();
  until_read(5);
  EXPECT_EQ(who_, thread_.get_id());
}

TEST_F(InletTest, WhatHasComeWithAnotherFrameIsNotForgotten) {
  take_over();
  const std::string frame = frame_of(HandOff{1, 1, 0, Format::as_is, "x"});
  write(frame + frame);
  EXPECT_TRUE(inlet_.read_one(late()));
  inlet_.give_back();
  until_read(2);
}

TEST_F(InletTest, WhatOneReaderFindsWrongEndsItForAll) {
  take_over();
  write(std::string(64, '\xff'));
  EXPECT_FALSE(inlet_.read_one(late()));
  EXPECT_FALSE(inlet_.read_one(late()));
  inlet_.give_back();
  EXPECT_FALSE(inlet_.take_over());
}

}  // namespace
}  // namespace caravan::fabric::worker
