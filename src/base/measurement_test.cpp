#include "base/measurement.h"

#include <gtest/gtest.h>

namespace caravan {
namespace {

Measurement example() { return {Quantity::decode, "q4_K", "CPU_REPACK", 4, 1, 1.25e10, mebibytes(96), 0.97}; }

/// Read from text, as everything that comes from outside.
Result<Measurement> read_back(const Json& value) {
  return measurement_from_json(parse_json(value.dump(), 4096).value());
}

TEST(Measurement, SurvivesJson) {
  const auto read = read_back(to_json(example()));
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
    const auto read = read_back(value);
    ASSERT_FALSE(read.ok()) << bad.field << " " << bad.value;
    EXPECT_EQ(read.error().code, Code::invalid);
    EXPECT_NE(read.error().message.find(bad.field), std::string::npos) << read.error().message;
  }
  EXPECT_FALSE(read_back(Json::array()).ok());
}

TEST(Measurement, OfMemoryHasNoType) {
  const auto read = read_back(
      {{"measured", "memory"}, {"threads", 2}, {"columns", 1}, {"rate", 2e10}, {"later", "ignored"}});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->plain());
  EXPECT_DOUBLE_EQ(read->share, 1);
}

}  // namespace
}  // namespace caravan
