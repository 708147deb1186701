#include "engine/kernel_lines.h"

#include <gtest/gtest.h>

namespace caravan::engine {
namespace {

TEST(KernelLines, EachSurvivesTheWay) {
  const auto loaded = parse_kernel_line(to_text(KernelsLoaded{"0.25.1", "libggml-cpu-haswell.so"}));
  ASSERT_TRUE(loaded && std::holds_alternative<KernelsLoaded>(*loaded));
  EXPECT_EQ(std::get<KernelsLoaded>(*loaded).ggml, "0.25.1");
  EXPECT_EQ(std::get<KernelsLoaded>(*loaded).library, "libggml-cpu-haswell.so");

  const auto skipped = parse_kernel_line(to_text(KernelSkipped{"q6_K", "special", kNoSpecialLayout}));
  ASSERT_TRUE(skipped && std::holds_alternative<KernelSkipped>(*skipped));
  EXPECT_EQ(std::get<KernelSkipped>(*skipped).type, "q6_K");
  EXPECT_EQ(std::get<KernelSkipped>(*skipped).reason, kNoSpecialLayout);

  Measurement measurement;
  measurement.quantity = Quantity::attention;
  measurement.rate = 5e9;
  const auto measured = parse_kernel_line(to_text(measurement));
  ASSERT_TRUE(measured && std::holds_alternative<Measurement>(*measured));
  EXPECT_DOUBLE_EQ(std::get<Measurement>(*measured).rate, 5e9);

  const auto done = parse_kernel_line(to_text(KernelsDone{}));
  EXPECT_TRUE(done && std::holds_alternative<KernelsDone>(*done));

  const auto failed = parse_kernel_line(to_text(Error{Code::exhausted, "no memory", "close something"}));
  ASSERT_TRUE(failed && std::holds_alternative<Error>(*failed));
  EXPECT_EQ(std::get<Error>(*failed).code, Code::exhausted);
  EXPECT_EQ(std::get<Error>(*failed).hint, "close something");
}

TEST(KernelLines, WhatTheEngineSaysIsNoLine) {
  for (const char* text : {"", "repack: repack tensor  with q4_K_8x8", "{not json", "[1,2]", "null"})
    EXPECT_FALSE(parse_kernel_line(text).has_value()) << text;
  EXPECT_FALSE(parse_kernel_line("{\"done\":" + std::string(5000, '1') + "}").has_value());
}

TEST(KernelLines, AWrongObjectIsAnError) {
  for (const char* text :
       {"{}", R"({"loaded":7})", R"({"skipped":{"type":"q4_K"}})", R"({"measured":"decode"})",
        R"({"measured":"memory","threads":1,"columns":1,"rate":-5})"}) {
    const auto line = parse_kernel_line(text);
    ASSERT_TRUE(line.has_value()) << text;
    EXPECT_TRUE(std::holds_alternative<Error>(*line)) << text;
  }
}

}  // namespace
}  // namespace caravan::engine
