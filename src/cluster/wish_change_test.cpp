#include "cluster/wish_change.h"

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

/// Golden bytes of version 1: what another build of Caravan sends. They never change.
constexpr const char* kServeV1 =
    R"({"serve":{"avoid":[],"context":4096,"file":"m.gguf","for":"fit","keep_free":0,"model":"m","size":7,)"
    R"("use":["a"]},"version":1})";
constexpr const char* kStopV1 = R"({"stop":"m","version":1})";

Wish wish_of(const std::string& model) {
  Wish wish;
  wish.model = model;
  wish.file = model + ".gguf";
  return wish;
}

TEST(WishChange, GoldenBytesGoThereAndBack) {
  for (const char* golden : {kServeV1, kStopV1}) {
    const auto read = wish_change_from_json(Json::parse(golden));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_TRUE(leaves_others(*read));
    EXPECT_EQ(model_of(*read), "m");
    EXPECT_EQ(dump_json(to_json(*read)), golden);
  }
}

TEST(WishChange, HostileValuesAreRefused) {
  for (const char* text : {"{}", "[]", "7", "null", R"({"version":1})", R"({"version":1,"stop":""})",
                           R"({"version":1,"stop":7})", R"({"version":1,"serve":7})",
                           R"({"version":1,"serve":{"model":"m","file":"../m","size":1}})"}) {
    const auto read = wish_change_from_json(Json::parse(text));
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code, Code::invalid);
  }
  EXPECT_FALSE(wish_change_from_json({{"version", 1U}, {"stop", std::string(1000, 'm')}}).ok());
  EXPECT_EQ(wish_change_from_json({{"version", 2U}, {"stop", "m"}}).error().code, Code::incompatible);
}

TEST(WishChange, MakesWhatItSaysOfTheWishes) {
  const std::vector<Wish> two{wish_of("a"), wish_of("b")};
  EXPECT_EQ(*make_change({wish_of("c"), false, ""}, two), std::vector{wish_of("c")});
  EXPECT_EQ(*make_change({wish_of("c"), true, ""}, two),
            (std::vector{wish_of("a"), wish_of("b"), wish_of("c")}));
  EXPECT_TRUE(make_change({}, two)->empty());
  EXPECT_EQ(*make_change({std::nullopt, false, "a"}, two), std::vector{wish_of("b")});
  EXPECT_EQ(*make_change({std::nullopt, false, "c"}, two), two);
  Wish longer = wish_of("a");
  longer.context = 9;
  EXPECT_EQ(*make_change({longer, true, ""}, two), (std::vector{longer, wish_of("b")})) << "where it stood";
}

TEST(WishChange, KnowsWhetherItWasMade) {
  const std::vector<Wish> two{wish_of("a"), wish_of("b")};
  EXPECT_TRUE(contains(two, {wish_of("a"), true, ""}));
  EXPECT_FALSE(contains(two, {wish_of("c"), true, ""}));
  EXPECT_TRUE(contains(two, {std::nullopt, false, "c"}));
  EXPECT_FALSE(contains(two, {std::nullopt, false, "b"}));
}

TEST(WishChange, MoreThanEightAreRefusedWithTheirNames) {
  std::vector<Wish> wishes;
  for (std::size_t i = 0; i < kMostWishes; ++i) wishes.push_back(wish_of("m" + std::to_string(i)));
  const auto changed = make_change({wish_of("more"), true, ""}, wishes);
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().code, Code::exhausted);
  EXPECT_NE(changed.error().message.find("m0, m1"), std::string::npos);
  EXPECT_TRUE(make_change({wish_of("m3"), true, ""}, wishes).ok()) << "that one is replaced";
}

}  // namespace
}  // namespace caravan::cluster
