#include "fabric/module/streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/module/fake_worker.h"

namespace caravan::fabric {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

Plan plan_of(std::vector<Stage> stages) {
  Plan plan;
  plan.stages = std::move(stages);
  plan.timeout = 10s;
  return plan;
}

std::unique_ptr<Streams> open(const Plan& plan) {
  auto streams = Streams::open(plan, kTestEngine);
  EXPECT_TRUE(streams) << streams.error().message;
  return streams ? std::move(streams.value()) : nullptr;
}

TEST(Streams, SaysInOrderAndReadsWhatComes) {
  FakeWorker worker;
  const auto streams = open(plan_of({worker.stage("phone")}));
  ASSERT_TRUE(streams);
  EXPECT_EQ(streams->device(0).description, "a fake");
  streams->say(0, Alloc{3, 8});
  streams->say(0, Set{3, 2, "abc"});
  std::string to(4, '?');
  EXPECT_TRUE(streams->wait(0, streams->ask(0, {3, 1, 4}, to.data())));
  EXPECT_EQ(to, std::string("\0abc", 4));
  EXPECT_EQ(worker.heard(), (std::vector{Type::open, Type::pulse, Type::alloc, Type::set, Type::get}));
}

TEST(Streams, NothingIsWrittenBeforeAFlush) {
  FakeWorker worker;
  FakeWorker other;
  const auto streams = open(plan_of({worker.stage("one"), other.stage("two")}));
  ASSERT_TRUE(streams);
  EXPECT_TRUE(streams->settle(0)) << "flushes all";
  EXPECT_TRUE(other.wait_for(Type::open, 1));
  streams->say(1, Alloc{3, 8});
  EXPECT_TRUE(other.wait_for(Type::pulse, 1));
  EXPECT_EQ(other.heard().size(), 2U);
  EXPECT_TRUE(streams->flush());
  EXPECT_TRUE(other.wait_for(Type::alloc, 1));
}

TEST(Streams, StagesAreIntroducedToTheirNextOne) {
  FakeWorker worker;
  FakeWorker other;
  auto second = other.stage("two");
  second.peer = "127.0.0.1:9";
  const auto streams = open(plan_of({worker.stage("one"), second}));
  ASSERT_TRUE(streams);
  EXPECT_TRUE(streams->flush());
  ASSERT_TRUE(worker.wait_for(Type::peer, 1));
  const auto payloads = worker.payloads(Type::peer);
  const auto peer = read_message<Peer>(payloads.at(0));
  EXPECT_EQ(peer->stage, 1U);
  EXPECT_EQ(peer->address, "127.0.0.1:9");
  EXPECT_EQ(peer->key, second.key);
  ASSERT_TRUE(other.wait_for(Type::open, 1));
  const auto opens = std::pair(worker.payloads(Type::open).at(0), other.payloads(Type::open).at(0));
  const auto one = read_message<Open>(opens.first);
  const auto two = read_message<Open>(opens.second);
  EXPECT_EQ(one->session, two->session);
  EXPECT_EQ(two->stage, 1U);
}

TEST(Streams, AWorkerWithAnotherKeyOrEngineIsRefused) {
  FakeWorker worker;
  auto stage = worker.stage("phone");
  stage.key[0] ^= 1U;
  const auto wrong_key = Streams::open(plan_of({stage}), kTestEngine);
  ASSERT_FALSE(wrong_key);
  EXPECT_THAT(wrong_key.error().message,
              HasSubstr("stage 0 (phone) failed: it does not have this plan's key"));
  FakeWorker other;
  const auto wrong_engine = Streams::open(plan_of({other.stage("phone")}), "another engine");
  ASSERT_FALSE(wrong_engine);
  EXPECT_EQ(wrong_engine.error().code, Code::incompatible);
}

TEST(Streams, AnUnreachableStageIsNamed) {
  FakeWorker worker;
  Stage nobody = worker.stage("tablet");
  nobody.address = "127.0.0.1:1";
  const auto streams = Streams::open(plan_of({worker.stage("phone"), nobody}), kTestEngine);
  ASSERT_FALSE(streams);
  EXPECT_THAT(streams.error().message, HasSubstr("stage 1 (tablet) failed"));
}

/// What a plan does whose second stage has failed while something was being read from the first.
void expect_failure(Streams& streams, const std::string& because, const std::function<void()>& cause) {
  std::string to(4, '?');
  const auto request = streams.ask(0, {3, 0, 4}, to.data());
  EXPECT_TRUE(streams.flush());
  testing::internal::CaptureStderr();
  cause();
  EXPECT_FALSE(streams.wait(0, request));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(because));
  EXPECT_TRUE(streams.failed());
  EXPECT_EQ(to, std::string(4, '\0'));
  streams.say(0, Fill{{3, 0, 8}, 1});
  EXPECT_FALSE(streams.flush());
  EXPECT_FALSE(streams.settle(1));
  std::string later(2, '?');
  EXPECT_FALSE(streams.wait(1, streams.ask(1, {3, 0, 2}, later.data())));
  EXPECT_EQ(later, std::string(2, '\0'));
}

TEST(Streams, ALostWorkerEndsEveryWait) {
  FakeWorker worker;
  FakeWorker other;
  worker.freeze();
  const auto streams = open(plan_of({worker.stage("one"), other.stage("two")}));
  ASSERT_TRUE(streams);
  expect_failure(*streams, "caravan: stage 1 (two) failed: ", [&] { other.close_connection(); });
}

TEST(Streams, AnErrorOfAWorkerIsToldInOneLine) {
  FakeWorker worker;
  FakeWorker other;
  worker.freeze();
  other.answer(Type::fill, [](std::string_view) {
    std::string out;
    append_message(out, to_message({Code::exhausted, "no\nmemory", ""}, 1, 0));
    return out;
  });
  const auto streams = open(plan_of({worker.stage("one"), other.stage("two")}));
  ASSERT_TRUE(streams);
  expect_failure(*streams, "caravan: stage 1 (two) failed: no memory\n", [&] {
    streams->say(1, Fill{{1, 0, 1}, 1});
    streams->flush();
  });
}

TEST(Streams, BytesThatCannotBeEndThePlan) {
  for (const std::string& bytes : {std::string(8, '\xff'), std::string("\x04\0\0\0\x44\0\0\0abcd", 12)}) {
    FakeWorker worker;
    FakeWorker other;
    worker.freeze();
    other.answer(Type::fill, [bytes](std::string_view) { return bytes; });
    const auto streams = open(plan_of({worker.stage("one"), other.stage("two")}));
    ASSERT_TRUE(streams);
    expect_failure(*streams, "caravan: stage 1 (two) failed: ", [&] {
      streams->say(1, Fill{{1, 0, 1}, 1});
      streams->flush();
    });
  }
}

TEST(Streams, AStageThatBeatsNoMoreHasFailedWhoeverIsWaitedFor) {
  FakeWorker worker;
  FakeWorker frozen;
  FakeWorker third;
  auto plan = plan_of({worker.stage("one"), frozen.stage("two"), third.stage("three")});
  plan.timeout = 800ms;
  const auto streams = open(plan);
  ASSERT_TRUE(streams);
  EXPECT_TRUE(streams->settle(2));
  third.answer(Type::get,
               [](std::string_view) { return std::string(); });  // it waits for the second one, but beats
  frozen.freeze();
  std::string to(4, '?');
  const auto request = streams->ask(2, {3, 0, 4}, to.data());
  testing::internal::CaptureStderr();
  EXPECT_FALSE(streams->wait(2, request));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("caravan: stage 1 (two) failed: no sign of life"));
}

TEST(Streams, WorkersThatBeatButWaitForWhatDoesNotComeHaveFailed) {
  FakeWorker worker;
  FakeWorker other;
  auto plan = plan_of({worker.stage("one"), other.stage("two")});
  plan.timeout = 800ms;
  const auto streams = open(plan);
  ASSERT_TRUE(streams);
  worker.stand_still();
  other.stand_still();
  other.answer(Type::get, [](std::string_view) { return std::string(); });
  std::string to(4, '?');
  const auto request = streams->ask(1, {3, 0, 4}, to.data());
  testing::internal::CaptureStderr();
  EXPECT_FALSE(streams->wait(1, request));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("caravan: stage 1 (two) failed: it was asked"));
}

TEST(Streams, AWorkerThatBeatsMayTakeItsTime) {
  FakeWorker worker;
  auto plan = plan_of({worker.stage("one")});
  plan.timeout = 500ms;
  const auto streams = open(plan);
  ASSERT_TRUE(streams);
  std::atomic<std::uint32_t> asked = 0;
  worker.answer(Type::get, [&](std::string_view payload) {
    asked = read_message<Get>(payload)->request;
    return std::string();
  });
  worker.answer(Type::fill, [&](std::string_view) {
    std::string out;
    append_message(out, Data{asked, 0, "done"});
    return out;
  });
  std::string to(4, '?');
  const auto request = streams->ask(0, {3, 0, 4}, to.data());
  std::thread later([&] {
    EXPECT_TRUE(worker.wait_for_beats(20));  // eight make one time-out
    streams->say(0, Fill{{3, 0, 1}, 0});
    streams->flush();
  });
  EXPECT_TRUE(streams->wait(0, request));
  later.join();
  EXPECT_EQ(to, "done");
}

}  // namespace
}  // namespace caravan::fabric
