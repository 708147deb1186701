#include "fabric/net/greeting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/net/testing.h"
#include "fabric/wire/golden.h"

namespace caravan::fabric {
namespace {

using testing::channel_pair;
using testing::counting;
using testing::frame_of;
using ::testing::HasSubstr;

Identity identity(std::uint8_t first = 1) { return {counting<32>(first), "b1250"}; }

SteadyTime soon() { return Clock::now() + kGreetingTime; }

/// Both ends of a greeting, the accepting one in a thread of its own.
struct Greeting {
  std::pair<Channel, Channel> ends = channel_pair();
  FrameReader asks{ends.second, {Role::master, false}};
  FrameReader answers{ends.first, {Role::worker, false}};
  Result<Accepted> accepted = Error{};
  Result<Welcome> welcomed = Error{};

  Greeting(const Identity& connecting, const Identity& accepting, const Hello& hello) {
    std::thread worker([&] {
      accepted = accept_greeting(ends.second, asks, accepting);
      if (accepted) (void)welcome(ends.second, *accepted, {7, {}});
      if (!accepted) ends.second.shut_down();
    });
    welcomed = greet(ends.first, answers, connecting, hello, soon());
    worker.join();
  }
};

Hello hello_of(Role role) {
  Hello hello;
  hello.role = role;
  hello.stage = role == Role::peer ? 3 : 0;
  hello.session = role == Role::peer ? 0x77 : 0;
  return hello;
}

TEST(FabricGreeting, BothEndsKnowEachOtherAfterwards) {
  for (const Role role : {Role::master, Role::peer}) {
    Greeting greeting(identity(), identity(), hello_of(role));
    ASSERT_TRUE(greeting.accepted.ok()) << greeting.accepted.error().message;
    ASSERT_TRUE(greeting.welcomed.ok()) << greeting.welcomed.error().message;
    EXPECT_EQ(greeting.welcomed->threads, 7U);
    EXPECT_EQ(greeting.accepted->hello.role, role);
    EXPECT_EQ(greeting.accepted->hello.session, hello_of(role).session);
    // From here on each may say what is its own.
    const auto frame = role == Role::master ? frame_of(Ping{5}) : testing::hand_off_frame();
    ASSERT_TRUE(greeting.ends.first.write_all(frame, kGreetingTime).ok());
    EXPECT_EQ(greeting.asks.next(nullptr)->payload, frame.substr(kHeaderBytes));
    ASSERT_TRUE(greeting.ends.second.write_all(frame_of(Beat{1}), kGreetingTime).ok());
    EXPECT_EQ(greeting.answers.next(nullptr)->type, Type::beat);
  }
}

TEST(FabricGreeting, AnotherKeyOrEngineIsToldToBothEnds) {
  Greeting key(identity(1), identity(2), hello_of(Role::master));
  EXPECT_THAT(key.accepted.error().message, HasSubstr("does not have this plan's key"));
  EXPECT_THAT(key.welcomed.error().message, HasSubstr("does not have this plan's key"));
  Greeting engine({counting<32>(1), "b1251"}, identity(), hello_of(Role::master));
  EXPECT_EQ(engine.accepted.error().code, Code::incompatible);
  EXPECT_EQ(engine.welcomed.error().code, Code::incompatible);
}

TEST(FabricGreeting, AWorkerThatCannotProveTheKeyIsLeft) {
  auto [near, far] = channel_pair();
  FrameReader answers(near, {Role::worker, false});
  const auto frames = testing::greeting_frames(Role::worker);
  ASSERT_TRUE(far.write_all(frames[0] + frames[1] + frame_of(Welcome{}), kGreetingTime).ok());
  const auto welcomed = greet(near, answers, identity(), hello_of(Role::master), soon());
  ASSERT_FALSE(welcomed);
  EXPECT_EQ(welcomed.error().message, "it does not have this plan's key");
}

TEST(FabricGreeting, WhatIsToldIsPrintable) {
  auto [near, far] = channel_pair();
  FrameReader answers(near, {Role::worker, false});
  tell(far, {Code::exhausted, "no \033[31m memory", "less\033"}, 2, 0);
  const auto welcomed = greet(near, answers, identity(), hello_of(Role::master), soon());
  EXPECT_EQ(welcomed.error().code, Code::exhausted);
  EXPECT_EQ(welcomed.error().message.find('\033'), std::string::npos);
  EXPECT_EQ(welcomed.error().hint.find('\033'), std::string::npos);
}

TEST(FabricFrames, ComeWholeHoweverTheyAreCut) {
  auto [near, far] = channel_pair();
  FrameReader reader(far, {Role::master, true});
  std::string all = frame_of(Ping{1}) + frame_of(Set{1, 2, std::string(200000, 'x')}) + frame_of(Ping{2});
  std::thread writer([&all, &channel = near] {
    for (std::size_t done = 0; done < all.size(); done += 7001)
      (void)channel.write_all(std::string_view(all).substr(done, 7001), kGreetingTime);
  });
  std::string again;
  Frame frame;
  for (int i = 0; i < 3 && reader.next(frame, nullptr).ok(); ++i) again += frame.payload;
  writer.join();
  EXPECT_EQ(again.size(), all.size() - 3 * kHeaderBytes);
  near.shut_down();
  EXPECT_EQ(reader.next(frame, nullptr).error().code, Code::disconnected);
}

}  // namespace
}  // namespace caravan::fabric
