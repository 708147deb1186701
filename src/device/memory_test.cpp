#include "device/memory.h"

#include <array>
#include <limits>

#include <gtest/gtest.h>

namespace caravan::device {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;

Bytes gibibytes(double n) { return Bytes{static_cast<std::uint64_t>(n * static_cast<double>(kGiB))}; }

// The format of proc_meminfo(5), values of a phone with 8 GB.
constexpr const char* kMeminfo =
    "MemTotal:        7702756 kB\nMemFree:          181964 kB\nMemAvailable:    3351220 kB\nBuffers:         "
    "   4260 kB\n";

TEST(Memory, ReadsMeminfo) {
  EXPECT_EQ(parse_meminfo(kMeminfo).total, Bytes{7702756ULL * 1024});
  EXPECT_EQ(parse_meminfo(kMeminfo).available, Bytes{3351220ULL * 1024});
}

TEST(Memory, WhatMeminfoDoesNotSayIsNotMadeUp) {
  for (const char* text : {"", "MemFree: 1 kB\n", "MemAvailable: x kB\n", "MemAvailable: 5\n",
                           "MemAvailable:\n", "MemAvailable: kB", "MemAvailable: 99999999999999999999 kB\n",
                           "MemAvailable: -1 kB\n", "MemAvailable: 1 kB kB\n"}) {
    EXPECT_FALSE(parse_meminfo(text).available) << text;
  }
}

/// The reference guide's table of usable memory.
struct Row {
  double total;      // GiB, on the box
  double mem_total;  // GiB, what the kernel of such a phone reports
  double at_least;
  double at_most;
};
constexpr std::array kTable{Row{4, 3.65, 2, 2.5}, Row{6, 5.5, 3.5, 4}, Row{8, 7.35, 5, 6},
                            Row{12, 11.2, 8, 9}};

TEST(Memory, AndroidKeepsBackWhatTheGuidesTableSays) {
  for (const Row& row : kTable) {
    for (const double total : {row.total, row.mem_total}) {
      // Nothing else runs: only what Android keeps decides.
      const auto usable = usable_memory({gibibytes(total), gibibytes(total)}, std::nullopt, true);
      ASSERT_TRUE(usable.usable);
      EXPECT_GE(*usable.usable, gibibytes(row.at_least)) << total;
      EXPECT_LE(*usable.usable, gibibytes(row.at_most)) << total;
      EXPECT_EQ(usable.kept_back, kept_for_android(gibibytes(total)));
      EXPECT_NE(usable.reason.find("Android keeps"), std::string::npos) << usable.reason;
    }
  }
}

TEST(Memory, OtherAppsCanLeaveLessThanTheTableSays) {
  const auto usable = usable_memory({gibibytes(8), gibibytes(3)}, std::nullopt, true);
  EXPECT_EQ(usable.usable, gibibytes(2.5));  // a sixteenth of 8 GiB stays free
  EXPECT_NE(usable.reason.find("3.00 GiB are available now"), std::string::npos) << usable.reason;
}

TEST(Memory, PlainLinuxKeepsAModestMargin) {
  EXPECT_EQ(usable_memory({gibibytes(16), gibibytes(10)}, std::nullopt, false).usable, gibibytes(9));
  EXPECT_EQ(usable_memory({gibibytes(64), gibibytes(50)}, std::nullopt, false).usable, gibibytes(49));
  EXPECT_EQ(usable_memory({gibibytes(1), gibibytes(0.5)}, std::nullopt, false).usable, gibibytes(0.4375));
}

TEST(Memory, AGroupsLimitDecidesWhereItIsTighter) {
  const CgroupMemory tight{2, gibibytes(2), gibibytes(1), gibibytes(0.5)};
  const auto limited = usable_memory({gibibytes(64), gibibytes(50)}, tight, false);
  EXPECT_EQ(limited.usable, gibibytes(1.375));  // 2 - (1 - 0.5) - 2 / 16
  EXPECT_NE(limited.reason.find("allows 2.00 GiB"), std::string::npos) << limited.reason;
  const CgroupMemory wide{2, gibibytes(60), Bytes{}, Bytes{}};
  EXPECT_EQ(usable_memory({gibibytes(64), gibibytes(50)}, wide, false).usable, gibibytes(49));
}

TEST(Memory, NeverBelowNothing) {
  EXPECT_EQ(usable_memory({gibibytes(8), Bytes{}}, std::nullopt, true).usable, Bytes{});
  EXPECT_EQ(usable_memory({gibibytes(0.5), gibibytes(0.5)}, std::nullopt, true).usable, Bytes{});
  const CgroupMemory exceeded{1, gibibytes(1), gibibytes(2), Bytes{}};
  EXPECT_EQ(usable_memory({gibibytes(8), gibibytes(8)}, exceeded, false).usable, Bytes{});
  EXPECT_FALSE(usable_memory({}, std::nullopt, true).usable);
  EXPECT_FALSE(usable_memory({}, std::nullopt, true).reason.empty());
}

TEST(Memory, HugeNumbersDoNotWrap) {
  const Bytes huge{std::numeric_limits<std::uint64_t>::max()};
  EXPECT_LT(*usable_memory({huge, huge}, std::nullopt, true).usable, huge);
}

TEST(Memory, ReadsBelowTheRootOnly) {
  auto root = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(root.ok());
  const auto hidden = usable_memory_now(root->path());
  ASSERT_FALSE(hidden.ok());
  EXPECT_NE(hidden.error().hint.find("--memory"), std::string::npos);
  ASSERT_TRUE(make_private_folder(root->path() / "proc").ok());
  ASSERT_TRUE(write_file_atomically(root->path() / "proc/meminfo", kMeminfo).ok());
  EXPECT_EQ(usable_memory_now(root->path())->count, (3351220ULL - 7702756ULL / 16) * 1024 - 256);
}

}  // namespace
}  // namespace caravan::device
