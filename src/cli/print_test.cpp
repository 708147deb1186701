#include "cli/print.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

using namespace std::chrono_literals;

/// A FILE whose content can be looked at.
class Sheet {
 public:
  Sheet() : file_(open_memstream(&text_, &size_)) {}
  Sheet(const Sheet&) = delete;
  Sheet& operator=(const Sheet&) = delete;
  ~Sheet() {
    std::fclose(file_);
    std::free(text_);
  }
  std::FILE* file() { return file_; }
  std::string text() {
    std::fflush(file_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

TEST(Print, ErrorWithItsCureAndExitCode) {
  ::testing::internal::CaptureStderr();
  const int code = print_error({Code::unavailable, "no \x1b[2Jnetwork", "check the cable"});
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "error: no ?[2Jnetwork\n  hint: check the cable\n");
  EXPECT_EQ(code, 3);
}

TEST(Print, AnInterruptionIsNoError) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(print_error({Code::interrupted, "stopped", ""}), 130);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "stopped\n");
}

TEST(ProgressLine, IsRedrawnOnATerminalTenTimesASecond) {
  Sheet sheet;
  TimePoint now;
  ProgressLine line(sheet.file(), 80, [&] { return now; });
  line.update("one");
  line.update("too soon");
  now += 100ms;
  line.update("two");
  EXPECT_EQ(sheet.text(), "\r\x1b[Kone\r\x1b[Ktwo");
  line.clear();
  line.clear();
  EXPECT_EQ(sheet.text(), "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[K");
}

TEST(ProgressLine, IsCutToTheWidthOfTheTerminal) {
  Sheet sheet;
  ProgressLine line(sheet.file(), 5, Clock::now);
  line.update("\u00e4\u00f6\u00fc-and more");
  EXPECT_EQ(sheet.text(), "\r\x1b[K\u00e4\u00f6\u00fc-");
}

TEST(ProgressLine, WritesFewLinesIntoALog) {
  Sheet sheet;
  TimePoint now;
  ProgressLine line(sheet.file(), 0, [&] { return now; });
  for (int i = 0; i <= 100; ++i, now += 100ms) line.update(std::to_string(i));
  line.clear();
  EXPECT_EQ(sheet.text(), "0\n50\n100\n");
}

TEST(ProgressText, EachPhase) {
  using model::Progress;
  using Phase = Progress::Phase;
  Progress progress{Phase::downloading, mebibytes(45),           mebibytes(90),
                    12.0 * (1U << 20U), std::chrono::seconds(4), ""};
  EXPECT_EQ(progress_text("pull x", progress), "pull x  45.0 MiB of 90.0 MiB  50%  12.0 MiB/s  4.0 s left");
  progress = {Phase::downloading, mebibytes(45), std::nullopt, 0, std::nullopt, ""};
  EXPECT_EQ(progress_text("pull x", progress), "pull x  45.0 MiB");
  progress = {Phase::verifying, mebibytes(45), mebibytes(90), 0, std::nullopt, ""};
  EXPECT_EQ(progress_text("pull x", progress), "pull x  verifying  45.0 MiB of 90.0 MiB  50%");
  progress = {Phase::connecting, Bytes{}, mebibytes(90), 0, std::nullopt, ""};
  EXPECT_EQ(progress_text("pull x", progress), "pull x  connecting");
  progress = {Phase::waiting, mebibytes(45), mebibytes(90), 0, std::nullopt, "h broke off"};
  EXPECT_EQ(progress_text("pull x", progress), "pull x  waiting: h broke off");
}

}  // namespace
}  // namespace caravan::cli
