#include "base/json.h"

#include <gtest/gtest.h>

namespace caravan {
namespace {

TEST(ParseJson, BoundsLengthAndDepth) {
  EXPECT_TRUE(parse_json(R"({"a":[1,2]})", 100).ok());
  EXPECT_FALSE(parse_json(R"({"a":[1,2]})", 5).ok());
  EXPECT_FALSE(parse_json("{\"a\":", 100).ok());
  EXPECT_FALSE(parse_json(std::string(100000, '['), 1U << 20U).ok());
  EXPECT_TRUE(parse_json("\"" + std::string(1000, '[') + "\\\"[\"", 1U << 20U).ok())
      << "brackets in a string do not nest";
}

TEST(DumpJson, SurvivesBytesThatAreNotUtf8) { EXPECT_EQ(dump_json(Json("\xff")), "\"\xEF\xBF\xBD\""); }

TEST(Fields, ReadsWhatIsThereAndIgnoresTheRest) {
  const Json object =
      Json::parse(R"({"name":"amber","rank":2,"share":0.5,"on":true,"unknown":{},"list":[{}],"null":null})");
  Fields fields(object, "device");
  EXPECT_EQ(fields.text("name"), "amber");
  EXPECT_EQ(fields.whole("rank"), 2U);
  EXPECT_DOUBLE_EQ(fields.number("share"), 0.5);
  EXPECT_TRUE(fields.flag_or("on", false));
  EXPECT_EQ(fields.list("list").size(), 1U);
  EXPECT_EQ(fields.text_or("absent", "x"), "x");
  EXPECT_EQ(fields.whole_or("null", 7), 7U);
  EXPECT_TRUE(fields.ok());
}

TEST(Fields, NamesTheFirstWrongField) {
  const Json object = Json::parse(R"({"name":5,"rank":-1})");
  Fields fields(object, "device");
  (void)fields.whole("rank");
  (void)fields.text("name");
  ASSERT_FALSE(fields.ok());
  EXPECT_EQ(fields.error().code, Code::invalid);
  EXPECT_EQ(fields.error().message, "device: 'rank' must be a whole number from 0 to 2^53");
}

TEST(Fields, RefusesNumbersThatDoNotFit) {
  for (const char* number : {"1.5", "1e300", "18446744073709551615", "9007199254740993", "\"3\"", "[3]"}) {
    const Json object = Json::parse(std::string(R"({"n":)") + number + "}");
    Fields fields(object, "x");
    (void)fields.whole("n");
    EXPECT_FALSE(fields.ok()) << number;
  }
  const Json object = Json::parse(R"({"n":4294967296})");
  Fields fields(object, "x");
  (void)fields.small("n");
  EXPECT_FALSE(fields.ok());
}

TEST(Fields, RefusesWhatIsNoObject) {
  for (const char* text : {"[]", "1", "null", "\"x\""}) {
    const Json value = Json::parse(text);
    Fields fields(value, "message");
    EXPECT_EQ(fields.text_or("a", "b"), "b");
    EXPECT_FALSE(fields.ok()) << text;
  }
}

TEST(ErrorJson, GoesThereAndBack) {
  const Error error{Code::exhausted, "no space", "free some"};
  const Error back = error_from_json(to_json(error));
  EXPECT_EQ(back.code, error.code);
  EXPECT_EQ(back.message, error.message);
  EXPECT_EQ(back.hint, error.hint);
  EXPECT_EQ(error_from_json(Json(3)).code, Code::bug);
}

TEST(ErrorTable, FollowsTheHabits) {
  EXPECT_EQ(exit_code_of(Code::invalid), 2);
  EXPECT_EQ(exit_code_of(Code::unavailable), 3);
  EXPECT_EQ(exit_code_of(Code::interrupted), 130);
  EXPECT_EQ(exit_code_of(Code::not_found), 1);
  EXPECT_EQ(http_status_of(Code::invalid), 400U);
  EXPECT_EQ(http_status_of(Code::unavailable), 503U);
}

}  // namespace
}  // namespace caravan
