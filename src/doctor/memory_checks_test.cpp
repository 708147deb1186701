#include "doctor/memory_checks.h"

#include <gmock/gmock.h>

#include "base/files.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

fs::path device_folder(const std::string& name) {
  return fs::path(CARAVAN_SOURCE_DIR) / "src/device/testdata" / name;
}

MemoryState with_memory(std::uint64_t total_mib, std::uint64_t available_mib) {
  MemoryState state{{}, std::nullopt, model::load_catalogue(), false};
  state.memory.total = mebibytes(total_mib);
  state.memory.available = mebibytes(available_mib);
  state.memory.policy =
      device::usable_memory({state.memory.total, state.memory.available}, std::nullopt, false);
  return state;
}

TEST(MemoryChecks, AHealthyDevice) {
  const MemoryState state = with_memory(8192, 6000);
  for (const auto check : {memory_for_models, memory_limit, memory_swap})
    EXPECT_EQ(check(state).status, Status::ok) << check(state).found;
  EXPECT_THAT(memory_for_models(state).found, HasSubstr("room for "));
}

TEST(MemoryChecks, TooLittleForAnyModel) {
  const Finding finding = memory_for_models(with_memory(1024, 200));
  EXPECT_EQ(finding.status, Status::problem);
  EXPECT_THAT(finding.found, HasSubstr("smollm2-135m"));
  EXPECT_THAT(finding.cure, Not(IsEmpty()));
}

TEST(MemoryChecks, HiddenMemoryIsNoFinding) {
  MemoryState state = with_memory(8192, 6000);
  state.memory = {};
  state.memory.policy = device::usable_memory({}, std::nullopt, false);
  EXPECT_EQ(memory_for_models(state).status, Status::skipped);
  EXPECT_EQ(memory_limit(state).status, Status::ok);
}

TEST(MemoryChecks, AContainersLimit) {
  const MemoryState state = read_memory_state(device_folder("container-cgroup-v2"));
  const Finding finding = memory_limit(state);
  EXPECT_EQ(finding.status, Status::note);
  EXPECT_THAT(finding.found, HasSubstr("2.00 GiB"));
  EXPECT_THAT(finding.cure, Contains(HasSubstr("MemoryMax=")));
  EXPECT_EQ(memory_limit(read_memory_state(device_folder("x86-laptop"))).status, Status::ok);
}

TEST(MemoryChecks, SwapThatIsUsedUp) {
  MemoryState state = with_memory(4096, 300);
  state.swap = SwapFacts{mebibytes(2048), mebibytes(100)};
  EXPECT_EQ(memory_swap(state).status, Status::warning);
  EXPECT_THAT(memory_swap(state).found, HasSubstr("300 MiB of memory are left"));
  state.swap->free = mebibytes(1500);
  EXPECT_EQ(memory_swap(state).status, Status::ok);
  // Android fills its compressed swap early; that alone is nothing.
  MemoryState roomy = with_memory(8192, 4000);
  roomy.swap = SwapFacts{mebibytes(2048), mebibytes(100)};
  EXPECT_EQ(memory_swap(roomy).status, Status::ok);
}

TEST(MemoryChecks, ParsesSwap) {
  const auto swap = parse_swap("MemTotal: 1 kB\nSwapTotal:       2097148 kB\nSwapFree:        1048576 kB\n");
  ASSERT_TRUE(swap);
  EXPECT_EQ(swap->total, (Bytes{std::uint64_t{2097148} * 1024}));
  EXPECT_EQ(swap->free, mebibytes(1024));
  for (const char* none :
       {"", "SwapTotal: 0 kB\nSwapFree: 0 kB\n", "SwapTotal: 5 kB\n", "SwapTotal: x\nSwapFree: y",
        "SwapTotal: 1 kB\nSwapFree: 2 kB\n", "SwapTotal: -5 kB\nSwapFree: -6 kB\n",
        "SwapTotal: 9223372036854775807 kB\nSwapFree: 1 kB\n"}) {
    EXPECT_FALSE(parse_swap(none)) << none;
  }
}

}  // namespace
}  // namespace caravan::doctor
