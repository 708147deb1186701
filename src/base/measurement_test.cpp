#include "base/measurement.h"

#include <gtest/gtest.h>

namespace caravan {
namespace {

Measurement example() { return {Quantity::decode, "q4_K", "CPU_REPACK", 4, 1, 1.25e10, mebibytes(96), 0.97}; }

TEST(Measurement, SurvivesJson) {
  const auto text = dump_json(to_json(example()));
  const auto parsed = parse_json(text, 4096);
  ASSERT_TRUE(parsed.ok());
  const auto read = measurement_from_json(*parsed);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->quantity, Quantity::decode);
  EXPECT_EQ(read->type, "q4_K");
  EXPECT_EQ(read->layout, "CPU_REPACK");
  EXPECT_FALSE(read->plain());
  EXPECT_EQ(read->threads, 4);
  EXPECT_EQ(read->columns, 1);
  EXPECT_DOUBLE_EQ(read->rate, 1.25e10);
  EXPECT_EQ(read->touched, mebibytes(96));
  EXPECT_DOUBLE_EQ(read->share, 0.97);
}

TEST(Measurement, NamesTheFieldThatIsWrong) {
  struct Case {
    const char* field;
    Json value;
  };
  for (const Case& bad :
       {Case{"measured", "speed"}, Case{"measured", 3}, Case{"rate", 0}, Case{"rate", -1.0},
        Case{"rate", 1e300}, Case{"rate", nullptr}, Case{"threads", 0}, Case{"threads", 5000},
        Case{"columns", 0}, Case{"share", 1.5}, Case{"share", -0.1}, Case{"type", ""},
        Case{"type", std::string(65, 'q')}, Case{"layout", ""}, Case{"touched", -1}}) {
    Json value = to_json(example());
    value[bad.field] = bad.value;
    const auto read = measurement_from_json(value);
    ASSERT_FALSE(read.ok()) << bad.field << " " << bad.value;
    EXPECT_EQ(read.error().code, Code::invalid);
    EXPECT_NE(read.error().message.find(bad.field), std::string::npos) << read.error().message;
  }
  EXPECT_FALSE(measurement_from_json(Json::array()).ok());
}

TEST(Measurement, OfMemoryHasNoType) {
  const auto read = measurement_from_json(
      {{"measured", "memory"}, {"threads", 2}, {"columns", 1}, {"rate", 2e10}, {"later", "ignored"}});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->plain());
  EXPECT_DOUBLE_EQ(read->share, 1);
}

}  // namespace
}  // namespace caravan
