#include "engine/kernel_child.h"

#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/testing.h"

namespace caravan::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

KernelTask example() {
  KernelTask task;
  task.programs = "/engine/bin";
  task.threads = {1, 4};
  task.pool = mebibytes(64);
  task.budget = std::chrono::duration<double>(2.5);
  return task;
}

/// A shell script plays the measuring child.
class KernelChildTest : public ::testing::Test {
 protected:
  Result<KernelReport> play(const std::string& script, const KernelTask& task = example()) {
    const fs::path program = folder_.path() / "caravan";
    testing_support::write_script(program, script);
    asio::io_context loop;
    std::optional<Result<KernelReport>> report;
    testing_support::run(
        loop,
        [](asio::any_io_executor executor, fs::path path, KernelTask given, KernelChildTest& self,
           std::optional<Result<KernelReport>>& out) -> asio::awaitable<void> {
          EngineFiles files;
          files.llama_server = "/engine/bin/llama-server";
          const auto on_line = [&self](const KernelLine&) { ++self.lines_; };
          out = co_await run_kernel_child(executor, path, files, given, on_line);
        }(loop.get_executor(), program, task, *this, report));
    return std::move(*report);
  }
  int lines_ = 0;

 private:
  TemporaryFolder folder_ = TemporaryFolder::make("caravan-kernels-test").value();
};

std::string say(const KernelLine& line) { return "echo '" + to_text(line) + "'\n"; }

Measurement decode() {
  Measurement measurement;
  measurement.quantity = Quantity::decode;
  measurement.type = "q4_K";
  measurement.layout = "plain";
  measurement.rate = 1e10;
  return measurement;
}

TEST(KernelArguments, AreWhatTheChildIsStartedWith) {
  KernelTask task = example();
  EXPECT_THAT(kernel_arguments(task), ElementsAre("kernel-bench", "--programs", "/engine/bin", "--threads",
                                                  "1,4", "--pool", "67108864", "--seconds", "2.500"));
  task.quick = true;
  EXPECT_EQ(kernel_arguments(task).back(), "--quick");
}

TEST_F(KernelChildTest, CollectsWhatItSays) {
  const auto report = play(
      say(KernelsLoaded{"0.25.1", "libggml-cpu.so"}) + "echo some noise of the engine\n" + say(decode()) +
      say(KernelSkipped{"q6_K", "special", "none"}) + say(decode()) + say(KernelsDone{}));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->loaded.ggml, "0.25.1");
  EXPECT_EQ(report->measurements.size(), 2U);
  EXPECT_EQ(report->skipped.size(), 1U);
  EXPECT_EQ(lines_, 5);
}

TEST_F(KernelChildTest, ReportsItsDeathWithItsLastWords) {
  const auto report = play(say(decode()) + "echo GGML_ASSERT failed >&2\nkill -9 $$\n");
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::incompatible);
  EXPECT_THAT(report.error().message, HasSubstr("signal 9"));
  EXPECT_THAT(report.error().message, HasSubstr("after decode q4_K"));
  EXPECT_THAT(report.error().message, HasSubstr("GGML_ASSERT failed"));
}

TEST_F(KernelChildTest, KnowsAnEngineForAnotherProcessor) {
  const auto report = play("kill -ILL $$\n");
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.error().hint, HasSubstr("another processor"));
}

TEST_F(KernelChildTest, AnExitBeforeTheEndIsAFailure) {
  const auto report = play(say(decode()));
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.error().message, HasSubstr("exit code 0"));
}

TEST_F(KernelChildTest, HandsItsOwnErrorOn) {
  const auto report = play(say(Error{Code::exhausted, "no memory", "close something"}) + "exit 1\n");
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::exhausted);
  EXPECT_EQ(report.error().message, "no memory");
}

TEST_F(KernelChildTest, AFloodOfMeasurementsIsBounded) {
  const auto report =
      play("line='" + to_text(decode()) +
           "'\ni=0\nwhile [ $i -lt 1500 ]; do echo \"$line\"; i=$((i+1)); done\n" + say(KernelsDone{}));
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->measurements.size(), 1000U);
}

TEST_F(KernelChildTest, AHangIsEnded) {
  KernelTask task = example();
  task.patience = std::chrono::milliseconds(50);
  task.budget = std::chrono::duration<double>(0.01);
  const auto report = play(say(decode()) + "exec sleep 600\n", task);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::unavailable);
}

}  // namespace
}  // namespace caravan::engine
