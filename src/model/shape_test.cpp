#include "model/shape.h"

#include <string>

#include <gmock/gmock.h>

namespace caravan::model {
namespace {

using ::testing::HasSubstr;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

const std::string kOne =
    R"({"version": 1, "shapes": [{"name": "tiny", "title": "Tiny", "architecture": "llama",
  "published": "2024-09", "source": "somebody/tiny", "layers": 2, "width": 64, "feed_forward": 128, "heads": 4,
  "kv_heads": 2, "head_width": 16, "vocabulary": 100, "context": 2048}]})";

TEST(Shape, TheBuiltInTableIsWellFormed) {
  const auto shapes = known_shapes();
  ASSERT_TRUE(shapes.ok()) << shapes.error().message;
  EXPECT_GE(shapes->size(), 30U);
  for (const ModelShape& shape : *shapes) {
    EXPECT_THAT(shape.source, HasSubstr("/")) << shape.name << " does not say whose config.json it is from";
    EXPECT_FALSE(shape.licence.empty()) << shape.name;
    EXPECT_LE(shape.title.size(), 17U) << shape.title << " is too long for the table";
    EXPECT_EQ(shape.heads % shape.kv_heads, 0U) << shape.name;
  }
}

TEST(Shape, MonthsAreCounted) {
  const auto shapes = parse_shapes(kOne);
  ASSERT_TRUE(shapes.ok()) << shapes.error().message;
  EXPECT_EQ(shapes->front().published, 2024U * 12 + 8);
}

TEST(Shape, WhatIsWrongIsNamed) {
  const struct {
    const char* from;
    const char* to;
    const char* field;
  } cases[] = {{"\"layers\": 2", "\"layers\": 0", "layers"},
               {"\"layers\": 2", "\"layers\": 99999", "layers"},
               {"\"width\": 64", "\"width\": \"wide\"", "width"},
               {"\"heads\": 4", "\"heads\": 1", "kv_heads"},
               {"2024-09", "2024-13", "published"},
               {"2024-09", "yesterday", "published"},
               {"\"feed_forward\": 128", "\"feed_forward\": 0", "feed_forward"},
               {"\"feed_forward\": 128", "\"experts\": 4, \"experts_used\": 5", "experts"},
               {"\"source\": \"somebody/tiny\", ", "", "source"}};
  for (const auto& each : cases) {
    const auto shapes = parse_shapes(replaced(kOne, each.from, each.to));
    ASSERT_FALSE(shapes.ok()) << each.to;
    EXPECT_THAT(shapes.error().message, HasSubstr(each.field));
  }
  const auto newer = parse_shapes(replaced(kOne, "\"version\": 1", "\"version\": 2"));
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code, Code::incompatible);
  EXPECT_FALSE(parse_shapes("[]").ok());
  EXPECT_FALSE(parse_shapes("{").ok());
}

}  // namespace
}  // namespace caravan::model
