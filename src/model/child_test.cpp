#include "model/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <gmock/gmock.h>

#include "base/descriptor.h"
#include "base/files.h"

namespace caravan::model {
namespace {

using ::testing::HasSubstr;

TEST(Child, OutputErrorsAndExitCode) {
  std::string output;
  const auto take = [&](std::string_view bytes) -> Result<void> {
    output += bytes;
    return {};
  };
  const auto end =
      run_child({{"sh", "-c", "echo \"$WORD\"; echo bad >&2; exit 7"}, {{"WORD", "good"}}}, {take, nullptr});
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_EQ(output, "good\n");
  EXPECT_EQ(end->errors, "bad\n");
  EXPECT_EQ(end->exit_code, 7);
}

TEST(Child, ArgumentsGoThroughAsTheyAre) {
  std::string output;
  const auto take = [&](std::string_view bytes) -> Result<void> {
    output += bytes;
    return {};
  };
  ASSERT_TRUE(run_child({{"printf", "%s|", "a b", "$(id)", "*", ""}, {}}, {take, nullptr}).ok());
  EXPECT_EQ(output, "a b|$(id)|*||");
}

TEST(Child, MuchOutputIsTakenWhole) {
  std::size_t size = 0;
  const auto take = [&](std::string_view bytes) -> Result<void> {
    size += bytes.size();
    return {};
  };
  ASSERT_TRUE(run_child({{"sh", "-c", "head -c 3000000 /dev/zero; head -c 100000 /dev/zero >&2"}, {}},
                        {take, nullptr})
                  .ok());
  EXPECT_EQ(size, 3000000U);
}

TEST(Child, SignalsAreSeenInTheExitCode) {
  EXPECT_EQ(run_child({{"sh", "-c", "kill -9 $$"}, {}}, {})->exit_code, 128 + 9);
}

TEST(Child, MissingPrograms) {
  EXPECT_EQ(run_child({{"no-such-program-anywhere"}, {}}, {}).error().code, Code::not_found);
  const auto end = run_child({{"/dev/null"}, {}}, {});
  EXPECT_THAT(end.error().message, HasSubstr("cannot start"));
}

TEST(Child, StoppingTakesItsChildrenWithIt) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const std::string fifo = (folder->path() / "held").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const Descriptor held(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::string output;
  const auto take = [&](std::string_view bytes) -> Result<void> {
    output += bytes;
    return {};
  };
  const auto tick = [&] { return output.find("ready") != std::string::npos; };
  const auto end = run_child(
      {{"sh", "-c", "exec 9>\"$0\"; trap '' TERM; sleep 1000 & echo ready; wait", fifo}, {}}, {take, tick});
  EXPECT_EQ(end.error().code, Code::interrupted);
  pollfd waits{held.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&waits, 1, 10000), 1);
  EXPECT_NE(waits.revents & POLLHUP, 0) << "nobody holds the other end any more";
}

TEST(Child, StartsWhereItIsTold) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  std::string output;
  const auto take = [&](std::string_view bytes) -> Result<void> {
    output += bytes;
    return {};
  };
  ASSERT_TRUE(run_child({{"pwd"}, {}, folder->path().string()}, {take, nullptr}).ok());
  EXPECT_EQ(fs::path(output.substr(0, output.size() - 1)), fs::canonical(folder->path()));
  EXPECT_FALSE(run_child({{"pwd"}, {}, "/no/such/folder"}, {}).ok());
}

TEST(Child, AnErrorOfTheReaderStopsIt) {
  const auto refuse = [](std::string_view) -> Result<void> { return Error{Code::exhausted, "full", ""}; };
  EXPECT_EQ(run_child({{"sh", "-c", "echo x; exec sleep 1000"}, {}}, {refuse, nullptr}).error().code,
            Code::exhausted);
}

}  // namespace
}  // namespace caravan::model
