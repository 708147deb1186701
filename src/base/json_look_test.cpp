#include "base/json_look.h"

#include <gtest/gtest.h>

namespace caravan {
namespace {

TEST(JsonLook, FindsWhatIsThereAndOfItsType) {
  const Json json = Json::parse(R"({"t":"x","n":2.5,"f":true,"o":{"a":1},"l":[1]})");
  EXPECT_EQ(text_in(json, "t"), "x");
  EXPECT_EQ(number_in(json, "n"), 2.5);
  EXPECT_EQ(maybe_number_in(json, "n"), 2.5);
  EXPECT_TRUE(flag_in(json, "f"));
  EXPECT_EQ(part_of(json, "o").size(), 1U);
  EXPECT_EQ(part_of(json, "l").size(), 1U);
}

TEST(JsonLook, AnythingElseIsAsIfItWereNotThere) {
  for (const char* text : {"null", "7", "[1]", "{}", R"({"t":7,"n":"x","f":0,"o":3})"}) {
    const Json json = Json::parse(text);
    EXPECT_EQ(text_in(json, "t", "none"), "none") << text;
    EXPECT_EQ(number_in(json, "n", -1), -1) << text;
    EXPECT_FALSE(maybe_number_in(json, "n")) << text;
    EXPECT_FALSE(flag_in(json, "f")) << text;
    EXPECT_TRUE(part_of(json, "o").empty()) << text;
  }
}

}  // namespace
}  // namespace caravan
