#include "cli/text_table.h"

#include <gmock/gmock.h>

namespace caravan::cli {
namespace {

using testing::ElementsAre;

TEST(Places, AreWhatATerminalShows) {
  EXPECT_EQ(places(""), 0U);
  EXPECT_EQ(places("worker"), 6U);
  EXPECT_EQ(places("41 °C"), 5U);
  EXPECT_EQ(places("73 % ⚡"), 7U);
  EXPECT_EQ(places("电话"), 4U);
  EXPECT_EQ(places("\xe2\x9a"), 1U) << "cut in the middle";
  EXPECT_GT(places("\xff\xff\xff"), 0U) << "no UTF-8";
}

TEST(TextTable, AlignsByPlacesAndLeavesOutWhatNobodyHas) {
  EXPECT_THAT(table_lines({{"device"}, {"heat"}, {"gone"}, {"battery"}},
                          {{"a", "41 °C", "", "5 %"}, {"phone-2", "", "", "73 % ⚡"}}, 80),
              ElementsAre("  device   heat   battery", "  a        41 °C  5 %", "  phone-2         73 % ⚡"));
}

TEST(TextTable, SparesWhatMattersLeastFirst) {
  const std::vector<TableColumn> columns{{"device"}, {"id", 1}, {"api", 2}};
  const std::vector<std::vector<std::string>> rows{{"phone", "abcd-efgh", "http://127.0.0.1:8080"}};
  EXPECT_EQ(table_lines(columns, rows, 80)[1], "  phone   abcd-efgh  http://127.0.0.1:8080");
  EXPECT_EQ(table_lines(columns, rows, 41)[1], "  phone   abcd-efgh");
  EXPECT_EQ(table_lines(columns, rows, 18)[1], "  phone");
  EXPECT_EQ(table_lines(columns, rows, 3)[1], "  phone") << "that cannot be spared";
}

}  // namespace
}  // namespace caravan::cli
