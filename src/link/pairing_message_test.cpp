#include "link/pairing_message.h"

#include <gmock/gmock.h>

#include "link/testing.h"

namespace caravan::link {
namespace {

using ::testing::HasSubstr;

TEST(PairingMessage, GoldenBytesOfVersionOne) {
  const std::string one = hex(filled(1));
  const std::vector<std::pair<PairingMessage, std::string>> messages{
      {PairHello{1, "tablet"}, R"({"name":"tablet","type":"pair_hello","version":1})"},
      {PairCommit{1, "home", "pixel-6", filled(1)},
       R"({"cluster":"home","commitment":")" + one +
           R"(","name":"pixel-6","type":"pair_commit","version":1})"},
      {PairNonce{filled(1)}, R"({"nonce":")" + one + R"(","type":"pair_nonce"})"},
      {PairReveal{filled(1)}, R"({"nonce":")" + one + R"(","type":"pair_reveal"})"},
      {PairWelcome{R"({"format":1})"}, R"({"membership":{"format":1},"type":"pair_welcome"})"},
      {CodeProof{1, "tablet", filled(1)},
       R"({"name":"tablet","proof":")" + one + R"(","type":"code_proof","version":1})"},
      {CodeWelcome{filled(1), R"({"format":1})"},
       R"({"membership":{"format":1},"proof":")" + one + R"(","type":"code_welcome"})"},
      {PairRefusal{Error{Code::unavailable, "not now", "later"}},
       R"({"error":{"code":"unavailable","hint":"later","message":"not now"},"type":"pair_refusal"})"}};
  EXPECT_EQ(messages.size(), std::variant_size_v<PairingMessage>);
  for (const auto& [message, bytes] : messages) {
    EXPECT_EQ(encode(message), bytes);
    const auto read = decode_pairing_message(bytes, kMaxWelcomeBytes);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->index(), message.index());
    EXPECT_EQ(encode(*read), bytes);
  }
}

TEST(PairingMessage, UnknownFieldsAreIgnoredAndUnknownTypesAreNot) {
  EXPECT_TRUE(decode_pairing_message(R"({"type":"pair_hello","version":1,"name":"a","later":[1]})").ok());
  EXPECT_THAT(decode_pairing_message(R"({"type":"pair_later"})").error().message, HasSubstr("'type'"));
}

TEST(PairingMessage, AnotherVersionIsNamed) {
  const auto read = decode_pairing_message(R"({"type":"pair_hello","version":2,"name":"a"})");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Code::incompatible);
  EXPECT_THAT(read.error().message, HasSubstr("version 2"));
  EXPECT_FALSE(read.error().hint.empty());
}

TEST(PairingMessage, RefusesWhatIsNone) {
  for (const auto* bad :
       {"", "[]", "{}", "null", R"({"type":1})", R"({"type":"pair_hello"})",
        R"({"type":"pair_hello","version":"1","name":"a"})",
        R"({"type":"pair_hello","version":1,"name":"\u001b"})", R"({"type":"pair_nonce","nonce":"0g"})",
        R"({"type":"pair_nonce"})", R"({"type":"pair_welcome","membership":"x"})",
        R"({"type":"pair_refusal","error":1})"}) {
    const auto read = decode_pairing_message(bad);
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_NE(read.error().message, "") << bad;
  }
  EXPECT_FALSE(decode_pairing_message(std::string(kMaxPairingBytes + 1, ' ')).ok());
}

TEST(PairingMessage, WhatARefusalSaysCanBePrinted) {
  const auto read =
      decode_pairing_message(R"({"type":"pair_refusal","error":{"code":"invalid","message":"\u001b[2J)" +
                             std::string(1000, 'x') + R"(","hint":"\u0007"}})");
  ASSERT_TRUE(read.ok());
  const Error& error = std::get<PairRefusal>(*read).error;
  EXPECT_EQ(error.message.substr(0, 4), "?[2J");
  EXPECT_LE(error.message.size(), 300U);
  EXPECT_EQ(error.hint, "?");
}

}  // namespace
}  // namespace caravan::link
