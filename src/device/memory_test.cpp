#include "device/memory.h"

#include <gtest/gtest.h>

namespace caravan::device {
namespace {

// The format of proc(5), values of a phone with 8 GB.
constexpr const char* kMeminfo =
    "MemTotal:        7702756 kB\nMemFree:          181964 kB\nMemAvailable:    3351220 kB\nBuffers:         "
    "   4260 kB\n";

TEST(Memory, ReadsMemAvailable) { EXPECT_EQ(parse_mem_available(kMeminfo)->count, 3351220ULL * 1024); }

TEST(Memory, SaysWhatToDoWhereItIsHidden) {
  for (const char* text :
       {"", "MemTotal: 1 kB\n", "MemAvailable: x kB\n", "MemAvailable: 5\n", "MemAvailable:\n",
        "MemAvailable: 99999999999999999999 kB\n", "MemAvailable: -1 kB\n"}) {
    const auto parsed = parse_mem_available(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().hint.find("--memory"), std::string::npos);
  }
}

TEST(Memory, TakesItsRootAsAParameter) {
  auto root = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(root.ok());
  EXPECT_FALSE(available_memory(root->path()).ok());
  ASSERT_TRUE(make_private_folder(root->path() / "proc").ok());
  ASSERT_TRUE(write_file_atomically(root->path() / "proc/meminfo", kMeminfo).ok());
  EXPECT_EQ(available_memory(root->path())->count, 3351220ULL * 1024);
  EXPECT_GE(core_count(), 1);
}

}  // namespace
}  // namespace caravan::device
