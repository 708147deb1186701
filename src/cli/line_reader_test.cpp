#include "cli/line_reader.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

#include "base/descriptor.h"

namespace caravan::cli {
namespace {

class LineReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    read_end_ = Descriptor(ends[0]);
    write_end_ = Descriptor(ends[1]);
  }
  void type(std::string_view text) const {
    ASSERT_EQ(::write(write_end_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void end() { (void)write_end_.close_now(); }
  int input() const { return read_end_.get(); }

 private:
  Descriptor read_end_;
  Descriptor write_end_;
};

TEST_F(LineReaderTest, LinesThenTheEnd) {
  type("one\r\n\ntw");
  type("o\nthree");
  end();
  LineReader reader(input());
  for (const char* line : {"one", "", "two", "three"}) EXPECT_EQ(*reader.next(), line);
  EXPECT_EQ(*reader.next(), std::nullopt);
  EXPECT_EQ(*reader.next(), std::nullopt);
}

TEST_F(LineReaderTest, CtrlCIsNoEnd) {
  // Ignored until the reader listens to it; from then on it holds the signal back until it waits.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGINT, &ignore, &before), 0);
  std::thread keyboard([reader_thread = ::pthread_self()]() {
    struct sigaction now {};
    do {
      std::this_thread::yield();
      (void)::sigaction(SIGINT, nullptr, &now);
    } while (now.sa_handler == SIG_IGN);
    (void)::pthread_kill(reader_thread, SIGINT);
  });
  LineReader reader(input());
  const auto line = reader.next();
  keyboard.join();
  ASSERT_FALSE(line.ok());
  EXPECT_EQ(line.error().code, Code::interrupted);
  type("still here\n");
  EXPECT_EQ(*reader.next(), "still here");
  ASSERT_EQ(::sigaction(SIGINT, &before, nullptr), 0);
}

TEST_F(LineReaderTest, EndlessLinesAreRefused) {
  std::thread writer([this]() {  // a pipe holds less than that
    for (int i = 0; i < 48; ++i) type(std::string(1U << 15U, 'x'));
    end();
  });
  LineReader reader(input());
  const auto line = reader.next();
  std::array<char, 1U << 16U> rest{};
  while (::read(input(), rest.data(), rest.size()) > 0) continue;
  writer.join();
  ASSERT_FALSE(line.ok());
  EXPECT_EQ(line.error().code, Code::exhausted);
}

}  // namespace
}  // namespace caravan::cli
