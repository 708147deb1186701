#include "fabric/module/tracer.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "fabric/module/fake_worker.h"

namespace caravan::fabric {
namespace {

using namespace std::chrono_literals;

/// What a worker answers to STATS; it computed something since the last time.
std::string timeline_for(std::string_view payload) {
  static std::atomic<std::uint64_t> clock = 1'000'000;
  const auto stats = read_message<Stats>(payload);
  const std::uint64_t now = clock += 1000;
  std::string out;
  append_message(out, Timeline{stats->request, now, 0, {{fabric::Doing::compute, now - 500, now - 100, 7}}});
  return out;
}

class TracerTest : public testing::Test {
 protected:
  TracerTest() {
    for (FakeWorker* worker : {&one_, &two_}) worker->answer(Type::stats, timeline_for);
    Plan plan;
    plan.stages = {one_.stage("phone"), two_.stage("tablet")};
    plan.timeout = 10s;
    auto opened = Streams::open(plan, kTestEngine);
    EXPECT_TRUE(opened);
    streams_ = std::move(*opened);
  }

  void write(std::string_view name, const std::string& text) {
    EXPECT_TRUE(write_file_atomically(folder_.path() / name, text));
  }
  void request(const trace::Request& request) { write(trace::kRequestFile, dump_json(to_json(request))); }
  /// As if llama-server decoded until that is true.
  template <typename Condition>
  bool decode_until(Tracer& tracer, Condition condition) {
    const auto deadline = Clock::now() + 20s;
    while (Clock::now() < deadline) {
      tracer.look();
      auto& log = streams_->trace();
      for (const std::size_t stage : {0U, 1U}) {
        if (log.on()) log.said(stage, 7, 1, Clock::now());
      }
      const auto now = Clock::now();
      if (log.on()) log.waited(1, now, now);
      streams_->flush();
      if (condition()) return true;
      std::this_thread::yield();
    }
    return false;
  }
  bool is_done(const std::string& id) {
    const auto text = read_file(folder_.path() / trace::kProgressFile, mebibytes(1));
    if (!text) return false;
    const auto progress = trace::progress_from_json(*parse_json(*text, 4096));
    return progress && progress->id == id && progress->done;
  }

  TemporaryFolder folder_ = *TemporaryFolder::make("trace");
  FakeWorker one_;
  FakeWorker two_;
  std::unique_ptr<Streams> streams_;
};

TEST_F(TracerTest, LeavesARecordingOfAllStages) {
  Tracer tracer(*streams_, folder_.path());
  request({"one", 5, 10, 1});
  ASSERT_TRUE(decode_until(tracer, [&] { return is_done("one"); }));
  EXPECT_FALSE(streams_->trace().on());
  const auto text = read_file(folder_.path() / trace::kRecordingFile, mebibytes(8));
  ASSERT_TRUE(text);
  const auto recording = trace::recording_from_json(*parse_json(*text, trace::kMaxRecordingBytes));
  ASSERT_TRUE(recording) << recording.error().message;
  EXPECT_GE(recording->steps.size(), 5U);
  ASSERT_EQ(recording->stages.size(), 2U);
  EXPECT_EQ(recording->stages[1].name, "tablet");
  for (const auto& stage : recording->stages) {
    EXPECT_GE(stage.clock.size(), 2U) << "the beginning and the end at least";
    EXPECT_FALSE(stage.spans.empty());
  }
  const auto said = one_.payloads(Type::stats);
  EXPECT_EQ(read_message<Stats>(said.front())->action, StatsAction::start);
  EXPECT_EQ(read_message<Stats>(said.back())->action, StatsAction::stop);
  // The same request again is the old one; another is not.
  const std::size_t before = one_.payloads(Type::stats).size();
  tracer.look(Clock::now() + 1s);  // past the pause between two looks, or the test shows nothing
  EXPECT_FALSE(streams_->trace().on());
  EXPECT_EQ(one_.payloads(Type::stats).size(), before);
  request({"two", 5, 10, 1});
  EXPECT_TRUE(decode_until(tracer, [&] { return is_done("two"); }));
}

TEST_F(TracerTest, EndsWhenNobodyWantsItAnyMore) {
  Tracer tracer(*streams_, folder_.path());
  request({"one", trace::kMostTokens, trace::kMostSeconds, 1});
  ASSERT_TRUE(decode_until(tracer, [&] { return streams_->trace().on(); }));
  std::filesystem::remove(folder_.path() / trace::kRequestFile);
  ASSERT_TRUE(decode_until(tracer, [&] { return !streams_->trace().on(); }));
  ASSERT_TRUE(one_.wait_for(Type::stats, 2));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / trace::kRecordingFile));
}

TEST_F(TracerTest, WithoutARequestOrAFolderNothingIsSaid) {
  Tracer tracer(*streams_, folder_.path());
  tracer.look();
  write(trace::kRequestFile, "{\"id\": 3}");
  Tracer other(*streams_, folder_.path());
  other.look();
  Tracer none(*streams_, {});
  none.look();
  EXPECT_TRUE(streams_->settle(0));
  EXPECT_TRUE(one_.payloads(Type::stats).empty());
}

TEST_F(TracerTest, EndsWithThePlan) {
  Tracer tracer(*streams_, folder_.path());
  request({"one", trace::kMostTokens, trace::kMostSeconds, 1});
  ASSERT_TRUE(decode_until(tracer, [&] { return streams_->trace().on(); }));
  streams_->fail(1, "a test");
  ASSERT_TRUE(decode_until(tracer, [&] { return !streams_->trace().on(); }));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / trace::kRecordingFile));
}

TEST_F(TracerTest, AnAnswerThatNobodyAskedForEndsThePlan) {
  one_.answer(Type::ping, [](std::string_view) {
    std::string out;
    append_message(out, Timeline{77, 1, 0, {}});
    return out;
  });
  EXPECT_FALSE(streams_->settle(0));
  EXPECT_TRUE(streams_->failed());
}

}  // namespace
}  // namespace caravan::fabric
