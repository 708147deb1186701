#include "doctor/limit_checks.h"

#include <sys/resource.h>

#include <gmock/gmock.h>

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

TEST(LimitChecks, Healthy) {
  for (const LimitState& state :
       {LimitState{}, LimitState{1024, 4096, 30000, mebibytes(65536), std::nullopt}}) {
    for (const auto check : {open_files, process_limit, size_limits})
      EXPECT_EQ(check(state).status, Status::ok);
  }
}

TEST(LimitChecks, TooLow) {
  LimitState state{256, 4096, 50, mebibytes(2048), mebibytes(1024)};
  EXPECT_EQ(open_files(state).status, Status::warning);
  EXPECT_THAT(open_files(state).cure, Contains(HasSubstr("ulimit -n 4096")));
  state.open_files = 64;
  state.open_files_hard = 64;
  EXPECT_EQ(open_files(state).status, Status::problem);
  EXPECT_THAT(open_files(state).cure, Contains(HasSubstr("limits.conf")));
  EXPECT_EQ(process_limit(state).status, Status::warning);
  EXPECT_EQ(size_limits(state).status, Status::warning);
  EXPECT_THAT(size_limits(state).found, HasSubstr("address space 2.00 GiB, size of a file 1.00 GiB"));
}

TEST(LimitChecks, ALimitThatIsReallySet) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{100, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const LimitState state = read_limit_state();
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(open_files(state).status, Status::problem);
  EXPECT_THAT(open_files(state).found, HasSubstr("100 open files"));
}

}  // namespace
}  // namespace caravan::doctor
