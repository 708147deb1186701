#include "base/text.h"

#include <gtest/gtest.h>

namespace caravan {
namespace {

TEST(Split, KeepsEmptyPieces) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(join(split("x y z", ' '), ", "), "x, y, z");
}

TEST(ClosestMatch, FindsTypingErrorsOnly) {
  const std::vector<std::string> commands{"demo", "models", "engine"};
  EXPECT_EQ(closest_match("dmeo", commands), "demo");
  EXPECT_EQ(closest_match("model", commands), "models");
  EXPECT_EQ(closest_match("zebra", commands), "");
  EXPECT_EQ(closest_match("", commands), "");
}

TEST(Printable, TakesTerminalEscapesOut) {
  EXPECT_EQ(printable("a\x1b[31mb\x7f\n\tc"), "a?[31mb?\n\tc");
  EXPECT_EQ(printable("Grüße"), "Grüße");
}

}  // namespace
}  // namespace caravan
