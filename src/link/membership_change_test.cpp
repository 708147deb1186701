#include "link/membership_change.h"

#include <gmock/gmock.h>

#include "link/testing.h"

namespace caravan::link {
namespace {

using ::testing::HasSubstr;

Change creation() {
  Change change{.kind = ChangeKind::create, .name = "pixel-6", .cluster = "home", .time = 1'700'000'000};
  change.sign(test_identity(1));
  return change;
}

// Made with OpenSSL's command line and Python's json and hashlib, not with this code.
TEST(MembershipChange, GoldenBytes) {
  const Change change = creation();
  EXPECT_EQ(
      change.signed_bytes(),
      R"({"author":"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c","cluster":"home",)"
      R"("kind":"create","name":"pixel-6","parents":[],"time":1700000000})");
  EXPECT_EQ(hex(change.id()), "59b94a965a3fdd9368a261bbc4ea7ec6f6cf7c10703a6ad3c2bfdde8e937e0dc");
  EXPECT_EQ(signature_text(change.signature),
            "9691808e6d537992d995853fb960c44f04e1bf028b01e5c74a488835b0bf16d6"
            "36a1877a508f4064129567ef8f2dc0d96e4aaced8209f2feb07b07736a984c05");
  EXPECT_TRUE(change.is_signed());
}

TEST(MembershipChange, GoldenBytesOfEachKind) {
  const auto bytes_of_kind = [](ChangeKind kind) {
    const Change change{.kind = kind,
                        .author = filled(0xaa),
                        .parents = {filled(1), filled(2)},
                        .subject = filled(0xbb),
                        .name = "n\"\xc3\xa4",
                        .time = 7};
    return change.signed_bytes();
  };
  const std::string aa = R"({"author":")" + hex(filled(0xaa)) + R"(","kind":")";
  const std::string parents = R"("parents":[")" + hex(filled(1)) + R"(",")" + hex(filled(2)) + R"("])";
  const std::string bb = R"(,"subject":")" + hex(filled(0xbb)) + '"';
  const std::string name = "\"name\":\"n\\\"\xc3\xa4\",";
  EXPECT_EQ(bytes_of_kind(ChangeKind::add), aa + "add\"," + name + parents + bb + R"(,"time":7})");
  EXPECT_EQ(bytes_of_kind(ChangeKind::remove), aa + "remove\"," + parents + bb + R"(,"time":7})");
  EXPECT_EQ(bytes_of_kind(ChangeKind::rename), aa + "rename\"," + name + parents + bb + "}");
  EXPECT_EQ(bytes_of_kind(ChangeKind::promote), aa + "promote\"," + parents + bb + "}");
  EXPECT_EQ(bytes_of_kind(ChangeKind::leave), aa + "leave\"," + parents + "}");
  EXPECT_EQ(bytes_of_kind(ChangeKind::seen), aa + "seen\"," + parents + "}");
}

TEST(MembershipChange, SurvivesTheWay) {
  const Change change = creation();
  const auto read = change_from_json(to_json(change), "changes[0]");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->signed_bytes(), change.signed_bytes());
  EXPECT_TRUE(read->is_signed());
}

TEST(MembershipChange, EveryFieldIsUnderTheSignature) {
  const Json good = to_json(creation());
  for (const auto& [field, other] : {std::pair<std::string, Json>{"author", hex(filled(9))},
                                     {"cluster", "homf"},
                                     {"name", "pixel-7"},
                                     {"time", std::uint64_t{1'700'000'001}}}) {
    Json changed = good;
    changed[field] = other;
    const auto read = change_from_json(changed, "c");
    ASSERT_TRUE(read.ok()) << field;
    EXPECT_FALSE(read->is_signed()) << field;
  }
}

TEST(MembershipChange, RefusesWhatIsNone) {
  const Json good = to_json(creation());
  const auto refusal_of = [&](const std::string& field, const Json& value) {
    Json changed = good;
    changed[field] = value;
    const auto read = change_from_json(changed, "changes[3]");
    return read ? std::string("taken") : read.error().message;
  };
  EXPECT_THAT(refusal_of("kind", "destroy"), HasSubstr("changes[3]: 'kind'"));
  EXPECT_THAT(refusal_of("author", "aa"), HasSubstr("'author' must be a key"));
  EXPECT_THAT(refusal_of("author", 5), HasSubstr("'author' must be a string"));
  EXPECT_THAT(refusal_of("signature", "00"), HasSubstr("'signature'"));
  EXPECT_THAT(refusal_of("time", -1), HasSubstr("'time'"));
  EXPECT_THAT(refusal_of("time", 1.5), HasSubstr("'time'"));
  EXPECT_THAT(refusal_of("name", ""), HasSubstr("'name' must not be empty"));
  EXPECT_THAT(refusal_of("parents", 1), HasSubstr("'parents'"));
  EXPECT_THAT(refusal_of("parents", Json::array({hex(filled(1))})), HasSubstr("'parents' must be empty"));
  EXPECT_THAT(refusal_of("subject", hex(filled(1))), HasSubstr("has a field that a 'create' does not have"));
  for (const Json& none : {Json(), Json(1), Json::array(), Json::object()}) {
    EXPECT_FALSE(change_from_json(none, "c").ok()) << none;
  }
}

TEST(MembershipChange, ParentsAreSortedFewAndDifferent) {
  Change change{.kind = ChangeKind::leave, .parents = {filled(1), filled(2)}};
  change.sign(test_identity(1));
  const auto with_parents = [&](const Json& parents) {
    Json json = to_json(change);
    json["parents"] = parents;
    return change_from_json(json, "c").ok();
  };
  const Json one = hex(filled(1));
  const Json two = hex(filled(2));
  EXPECT_TRUE(with_parents({one, two}));
  EXPECT_FALSE(with_parents({two, one}));
  EXPECT_FALSE(with_parents({one, one}));
  EXPECT_FALSE(with_parents(Json::array()));
  EXPECT_FALSE(with_parents({one, 2}));
  Json many = Json::array();
  for (std::uint8_t i = 1; i <= kMaxParents + 1; ++i) many.push_back(hex(filled(i)));
  EXPECT_FALSE(with_parents(many));
  many.erase(many.size() - 1);
  EXPECT_TRUE(with_parents(many));
}

TEST(MembershipChange, NamesCanBePrinted) {
  for (const auto* good : {"a", "Pixel 6",
                           "K\xc3\xbc"
                           "che",
                           "\xe6\x89\x8b\xe6\x9c\xba"}) {
    EXPECT_EQ(name_problem(good), "") << good;
  }
  for (const auto* bad : {"", " a", "a ", "a\nb", "\x1b[2J", "a\x7f",
                          "\xc2\x9b"
                          "31m",
                          "\xff", "a\xc3"}) {
    EXPECT_NE(name_problem(bad), "") << bad;
  }
  EXPECT_EQ(name_problem(std::string(kMaxNameBytes, 'x')), "");
  EXPECT_NE(name_problem(std::string(kMaxNameBytes + 1, 'x')), "");
}

}  // namespace
}  // namespace caravan::link
