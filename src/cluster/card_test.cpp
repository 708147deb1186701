#include "cluster/card.h"

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

constexpr const char* kProfile =
    R"({"name":"a","memory":1073741824,"threads":2,"node_seconds":2e-6,"attention":3e9,)"
    R"("attention_prefill":1e9,"elements":1e8,"disk":2e8,"accepts":false,)"
    R"("kernels":{"q4_k":{"decode":5e9,"decode_repacked":6e9,"prefill":1e10,"prefill_repacked":2e10}}})";

Json card_json() {
  Json json = Json::parse(R"({"version":1,"engine_build":"b","models":[{"file":"m.gguf","size":7}]})");
  json["devices"] = Json::array({Json::parse(kProfile)});
  return json;
}

/// The way over a socket.
Result<NodeCard> sent(const Json& json) { return card_from_json(*parse_json(dump_json(json), 1U << 20U)); }

void expect_refused(const char* field, const Json& value) {
  Json json = card_json();
  json[field] = value;
  const auto read = sent(json);
  ASSERT_FALSE(read.ok()) << field << " " << value;
  EXPECT_EQ(read.error().code, Code::invalid);
  EXPECT_FALSE(read.error().message.empty());
}

TEST(Card, GoesThereAndBack) {
  const auto card = card_from_json(card_json());
  ASSERT_TRUE(card.ok()) << card.error().message;
  EXPECT_TRUE(card->can_carry());
  const auto again = sent(to_json(*card));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->engine_build, "b");
  EXPECT_EQ(again->models, card->models);
  ASSERT_TRUE(again->profile);
  EXPECT_EQ(again->profile->memory, mebibytes(1024));
  EXPECT_EQ(again->profile->threads, 2);
  EXPECT_FALSE(again->profile->accepts);
  EXPECT_EQ(again->profile->kernels.at("q4_k").decode_repacked, 6e9);
}

TEST(Card, ADeviceThatIsNotMeasuredOrHasNoEngineCanCarryNothing) {
  NodeCard card;
  EXPECT_FALSE(card.can_carry());
  card.engine_build = "b";
  const auto again = sent(to_json(card));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_FALSE(again->profile);
  EXPECT_FALSE(again->can_carry());
  card.profile = plan::DeviceProfile{};
  EXPECT_TRUE(card.can_carry());
  card.engine_build.clear();
  EXPECT_FALSE(card.can_carry());
}

TEST(Card, HasTheFabricOnlyWhenItSaysSo) {
  EXPECT_FALSE(card_from_json(card_json())->fabric);
  Json json = card_json();
  json["fabric"] = true;
  EXPECT_TRUE(sent(to_json(*card_from_json(json)))->fabric);
}

TEST(Card, AModelIsHeldByNameAndSize) {
  const auto card = card_from_json(card_json());
  ASSERT_TRUE(card.ok());
  EXPECT_TRUE(card->holds("m.gguf", Bytes{7}));
  EXPECT_FALSE(card->holds("m.gguf", Bytes{6})) << "a part of it, or another version";
  EXPECT_FALSE(card->holds("n.gguf", Bytes{7}));
}

TEST(Card, HostileValuesAreRefused) {
  expect_refused("version", "1");
  expect_refused("engine_build", 7);
  expect_refused("models", 7);
  expect_refused("models", Json::array({7}));
  expect_refused("models", Json::array({{{"file", "m"}}}));
  expect_refused("models", Json::array({{{"file", "m"}, {"size", -1}}}));
  expect_refused("models", std::vector<Json>(257, Json{{"file", "m"}, {"size", 1}}));
  expect_refused("devices", 7);
  expect_refused("devices", Json::array({7}));
  expect_refused("devices", Json::array({Json::object()}));
  Json other = Json::parse(kProfile);
  other["name"] = "b";
  expect_refused("devices", Json::array({Json::parse(kProfile), other}));
  other["memory"] = "8000000000G";  // could not be written as a number again
  expect_refused("devices", Json::array({other}));
  EXPECT_FALSE(card_from_json(Json::array()).ok());
  EXPECT_FALSE(card_from_json(Json()).ok());
}

TEST(Card, ANewerVersionSaysSo) {
  Json json = card_json();
  json["version"] = 2;
  EXPECT_EQ(sent(json).error().code, Code::incompatible);
}

}  // namespace
}  // namespace caravan::cluster
