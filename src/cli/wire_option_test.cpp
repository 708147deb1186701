#include "cli/wire_option.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

using testing::HasSubstr;

TEST(WireOption, PackingIsExplainedWithWhatWasMeasured) {
  EXPECT_EQ(wire_note("f32"), "");
  for (const char* wire : {"f16", "q8_0"}) {
    EXPECT_THAT(wire_note(wire), HasSubstr(wire));
    EXPECT_THAT(wire_note(wire), HasSubstr("SmolLM2-135M"));
    EXPECT_THAT(wire_note(wire), HasSubstr("perplexity"));
    EXPECT_TRUE(wire_note(wire).ends_with(")\n")) << "one line";
  }
}

TEST(WireOption, OnlyTheFabricPacks) {
  EXPECT_TRUE(check_wire("f32", "rpc").ok());
  EXPECT_TRUE(check_wire("q8_0", "fabric").ok());
  const auto refused = check_wire("f16", "rpc");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
  EXPECT_THAT(refused.error().hint, HasSubstr("--data-path fabric"));
}

TEST(WireOption, OtherFormatsAreRefused) {
  for (const bool known : {true, false}) {
    CLI::App app;
    std::string wire = "f32";
    add_wire_option(app, wire);
    std::vector<std::string> arguments{known ? "q8_0" : "q4_0", "--wire"};  // CLI11 wants them backwards
    if (known) {
      app.parse(arguments);
      EXPECT_EQ(wire, "q8_0");
    } else {
      EXPECT_THROW(app.parse(arguments), CLI::ValidationError);
    }
  }
}

}  // namespace
}  // namespace caravan::cli
