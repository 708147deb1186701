#include "base/units.h"

#include <gtest/gtest.h>

namespace caravan {
namespace {

TEST(ParseBytes, TakesWhatPeopleWrite) {
  EXPECT_EQ(parse_bytes("600M")->count, 600ULL << 20U);
  EXPECT_EQ(parse_bytes("1.5G")->count, 3ULL << 29U);
  EXPECT_EQ(parse_bytes("64 KiB")->count, 64ULL << 10U);
  EXPECT_EQ(parse_bytes("2gb")->count, 2ULL << 30U);
  EXPECT_EQ(parse_bytes("4096")->count, 4096U);
  EXPECT_EQ(parse_bytes("0")->count, 0U);
}

TEST(ParseBytes, RefusesTheRestWithACure) {
  for (const char* text :
       {"", "M", "-1M", "1.M", ".5G", "1.2.3G", "12X", "5 iB", "99999999T", "1e3", "nan", "0x10"}) {
    const auto parsed = parse_bytes(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, Code::invalid) << text;
    EXPECT_FALSE(parsed.error().hint.empty()) << text;
  }
}

TEST(FormatBytes, HasThreeDigits) {
  EXPECT_EQ(format_bytes(Bytes{0}), "0 B");
  EXPECT_EQ(format_bytes(Bytes{1023}), "1023 B");
  EXPECT_EQ(format_bytes(Bytes{1024}), "1.00 KiB");
  EXPECT_EQ(format_bytes(Bytes{98362432}), "93.8 MiB");
  EXPECT_EQ(format_bytes(mebibytes(999)), "999 MiB");
  EXPECT_EQ(format_bytes(mebibytes(1023)), "1.00 GiB");
  EXPECT_EQ(format_bytes(Bytes{~0ULL}), "16777216 TiB");
}

TEST(FormatTokenRate, HasADecimalWhereItMatters) {
  EXPECT_EQ(format_token_rate(0), "0.0");
  EXPECT_EQ(format_token_rate(9.94), "9.9");
  EXPECT_EQ(format_token_rate(9.96), "10");
  EXPECT_EQ(format_token_rate(122.6), "123");
}

TEST(FormatDuration, ReadsLikeSpeech) {
  using std::chrono::duration;
  EXPECT_EQ(format_duration(duration<double>(0.44)), "0.4 s");
  EXPECT_EQ(format_duration(duration<double>(12.4)), "12 s");
  EXPECT_EQ(format_duration(duration<double>(185)), "3 min 05 s");
  EXPECT_EQ(format_duration(duration<double>(7800)), "2 h 10 min");
}

}  // namespace
}  // namespace caravan
