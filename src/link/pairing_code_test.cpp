#include "link/pairing_code.h"

#include <algorithm>
#include <cctype>

#include <gmock/gmock.h>

#include "link/testing.h"

namespace caravan::link {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

const PublicKey kOwner = test_identity(1).public_key();
const PublicKey kJoiner = test_identity(2).public_key();
const PublicKey kMiddle = test_identity(9).public_key();
const std::string kBinding(32, 'b');
const TimePoint kStart{seconds(1000)};
const std::string kGolden =
    "caravan1:"
    "gr2q7gf5lh6pzfdnurnkvputhpqvjjfvaaaqeayeaudaocajbifqydiob4aaaaaamvj7gwacdueqwmjzgixdcnryfyys4ny5bedwmzb"
    "qga5dun3d2jfc2";

std::string secret() {
  std::string bytes;
  for (char c = 0; c < 16; ++c) bytes += c;
  return bytes;
}

InvitationCode code() {
  return *InvitationCode::make(kOwner, {{"192.168.1.7", 7433}, {"fd00::7", 7433}}, secret(), 1'700'000'600);
}

template <typename Kind>
const Kind* find(const PairingActions& actions) {
  for (const PairingAction& action : actions) {
    if (const auto* found = std::get_if<Kind>(&action)) return found;
  }
  return nullptr;
}

std::string sent(const PairingActions& actions) {
  const auto* text = find<SendText>(actions);
  return text == nullptr ? "" : text->text;
}

std::string failure(const PairingActions& actions) {
  const auto* failed = find<PairingFailed>(actions);
  return failed == nullptr ? "" : failed->error.message;
}

TEST(InvitationCode, GoldenText) {  // made with Python's base64 and hashlib
  EXPECT_EQ(code().text(), kGolden);
  const auto read = InvitationCode::parse(kGolden);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->owner_id(), device_id(kOwner));
  EXPECT_EQ(read->addresses(), code().addresses());
  EXPECT_EQ(read->ends_at(), 1'700'000'600U);
  EXPECT_EQ(read->text(), kGolden);
  EXPECT_EQ(hex(read->joiner_proof(kJoiner, kOwner, kBinding)),
            "088e237768a1040ecd4e48d3dd1a402843eee941d1904fa85115dfd8983da12e");
  EXPECT_EQ(hex(read->owner_proof(kJoiner, kOwner, kBinding)),
            "c969366dfe43eda39fc84c3e0c447c881bc27b687b09571803c1ff725330766b");
}

TEST(InvitationCode, ReadsWhatPeopleMakeOfIt) {
  std::string capitals = kGolden;
  for (char& c : capitals) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_TRUE(InvitationCode::parse(capitals).ok());
  EXPECT_TRUE(
      InvitationCode::parse("  " + kGolden.substr(0, 60) + "\r\n  " + kGolden.substr(60) + "\n").ok());
  std::string digits = kGolden;
  std::replace(digits.begin() + 9, digits.end(), 'o', '0');
  std::replace(digits.begin() + 9, digits.end(), 'l', '1');
  std::replace(digits.begin() + 9, digits.end(), 'b', '8');
  EXPECT_TRUE(InvitationCode::parse(digits).ok());
}

TEST(InvitationCode, EveryTypingErrorIsSeen) {
  for (std::size_t i = 9; i < kGolden.size(); ++i) {
    std::string wrong = kGolden;
    wrong[i] = wrong[i] == 'a' ? 'c' : 'a';
    EXPECT_FALSE(InvitationCode::parse(wrong).ok()) << i;
    wrong = kGolden;
    wrong.erase(i, 1);
    EXPECT_FALSE(InvitationCode::parse(wrong).ok()) << i;
    if (i + 1 < kGolden.size() && kGolden[i] != kGolden[i + 1]) {
      wrong = kGolden;
      std::swap(wrong[i], wrong[i + 1]);
      EXPECT_FALSE(InvitationCode::parse(wrong).ok()) << i;
    }
  }
}

TEST(InvitationCode, ErrorsSayWhatIsWrongAndNotTheCode) {
  const auto message_of = [](std::string_view text) { return InvitationCode::parse(text).error().message; };
  EXPECT_THAT(message_of("hello"), HasSubstr("no invitation code"));
  EXPECT_THAT(message_of(""), HasSubstr("no invitation code"));
  EXPECT_THAT(message_of(std::string(10'000, 'a')), HasSubstr("no invitation code"));
  EXPECT_THAT(message_of("caravan1:"), HasSubstr("typing error"));
  EXPECT_THAT(message_of("caravan1:ab!d"), HasSubstr("character 3"));
  EXPECT_THAT(message_of(kGolden.substr(0, 50)), HasSubstr("typing error"));
  EXPECT_THAT(message_of(kGolden.substr(0, 50)), Not(HasSubstr(kGolden.substr(45, 5))));
}

TEST(InvitationCode, IsNotGivenAwayByItsDescription) {
  const std::string shown = code().describe();
  EXPECT_EQ(shown, "invitation of gr2q-7gf5 at 192.168.1.7:7433 [fd00::7]:7433");
  EXPECT_THAT(shown, Not(HasSubstr(base32(bytes_of(secret())).substr(0, 6))));
}

TEST(InvitationCode, RefusesAddressesThatItCannotCarry) {
  EXPECT_FALSE(InvitationCode::make(kOwner, {{"", 1}}, secret(), 0).ok());
  EXPECT_FALSE(InvitationCode::make(kOwner, {{"a b", 1}}, secret(), 0).ok());
  EXPECT_FALSE(InvitationCode::make(kOwner, {{"a", 0}}, secret(), 0).ok());
  EXPECT_FALSE(InvitationCode::make(kOwner, {{std::string(254, 'a'), 1}}, secret(), 0).ok());
  EXPECT_FALSE(InvitationCode::make(kOwner, {}, "short", 0).ok());
  const auto many = InvitationCode::make(
      kOwner, std::vector<CodeAddress>(20, CodeAddress{std::string(253, 'a'), 65535}), secret(), 0);
  ASSERT_TRUE(many.ok());
  EXPECT_LE(many->text().size(), kMaxCodeText);
  EXPECT_EQ(InvitationCode::parse(many->text())->addresses().size(), kMaxCodeAddresses);
}

class PairingByCode : public ::testing::Test {
 protected:
  std::string proof(const PublicKey& joiner, const std::string& binding) {
    CodeJoiner made(code(), {joiner, kOwner, binding}, "tablet");
    return sent(made.start(kStart));
  }
  PairingActions try_at(TimePoint now, const std::string& message, const PublicKey& peer = kJoiner) {
    CodeOwner owner(invitation, {kOwner, peer, kBinding}, now);
    auto actions = owner.on(message, now);
    return actions.empty() ? owner.on_time(now + kGuessCost) : actions;
  }
  Invitation invitation{code(), kStart};
  const std::string wrong = encode(CodeProof{kPairingVersion, "tablet", filled(7)});
};

TEST_F(PairingByCode, LetsTheHolderIn) {
  CodeJoiner joiner(*InvitationCode::parse(kGolden), {kJoiner, kOwner, kBinding}, "tablet");
  CodeOwner owner(invitation, {kOwner, kJoiner, kBinding}, kStart);
  const auto admitted = owner.on(sent(joiner.start(kStart)), kStart);
  ASSERT_NE(find<AdmitDevice>(admitted), nullptr) << failure(admitted);
  EXPECT_EQ(find<AdmitDevice>(admitted)->device, kJoiner);
  EXPECT_EQ(find<AdmitDevice>(admitted)->name, "tablet");
  const auto joined = joiner.on(sent(owner.welcome(R"({"format":1})")), kStart);
  ASSERT_NE(find<JoinedCluster>(joined), nullptr) << failure(joined);
  EXPECT_EQ(find<JoinedCluster>(joined)->document, R"({"format":1})");
  EXPECT_TRUE(owner.is_over() && joiner.is_over());
}

TEST_F(PairingByCode, OnceOnly) {
  EXPECT_NE(find<AdmitDevice>(try_at(kStart, proof(kJoiner, kBinding))), nullptr);
  EXPECT_FALSE(invitation.is_open(kStart));
  EXPECT_THAT(failure(try_at(kStart, proof(kJoiner, kBinding))), HasSubstr("has been used"));
}

TEST_F(PairingByCode, ForTenMinutes) {
  const TimePoint last = kStart + minutes(10) - seconds(1);
  EXPECT_TRUE(invitation.is_open(last));
  EXPECT_THAT(failure(try_at(kStart + minutes(10), proof(kJoiner, kBinding))), HasSubstr("too old"));
  EXPECT_NE(find<AdmitDevice>(try_at(last, proof(kJoiner, kBinding))), nullptr);
}

TEST_F(PairingByCode, AWrongGuessCostsTheGuesserASecondAndNobodyElse) {
  CodeOwner guesser(invitation, {kOwner, kMiddle, kBinding}, kStart);
  EXPECT_TRUE(guesser.on(wrong, kStart).empty()) << "not a word yet";
  EXPECT_EQ(guesser.next_deadline(), kStart + kGuessCost);
  EXPECT_TRUE(guesser.on(proof(kMiddle, kBinding), kStart).empty()) << "one guess a connection, right or not";
  EXPECT_TRUE(guesser.on_time(kStart + kGuessCost - std::chrono::milliseconds(1)).empty());
  EXPECT_TRUE(invitation.is_open(kStart));
  EXPECT_NE(find<AdmitDevice>(try_at(kStart, proof(kJoiner, kBinding))), nullptr);
  const auto told = guesser.on_time(kStart + kGuessCost);
  EXPECT_THAT(failure(told), HasSubstr("not the code in force"));
  EXPECT_THAT(sent(told), HasSubstr("not the code in force"));
  EXPECT_TRUE(guesser.is_over());
}

TEST_F(PairingByCode, StrangersCannotKillTheInvitation) {
  for (int i = 0; i < 1000; ++i)
    EXPECT_THAT(failure(try_at(kStart, wrong, kMiddle)), HasSubstr("not the code"));
  EXPECT_NE(find<AdmitDevice>(try_at(kStart, proof(kJoiner, kBinding))), nullptr);
}

TEST_F(PairingByCode, InTheMiddleNobodyPassesForTheOwner) {
  CodeJoiner joiner(code(), {kJoiner, kMiddle, kBinding}, "tablet");
  const auto refused = joiner.start(kStart);
  EXPECT_THAT(failure(refused), HasSubstr("not the one that made the code"));
  EXPECT_EQ(sent(refused), "") << "not a word to a stranger";
  EXPECT_TRUE(joiner.is_over());
}

TEST_F(PairingByCode, InTheMiddleNobodyCanUseAProofOfAnother) {
  // A proof that was overheard, however that may be: for another connection, or sent by another device.
  EXPECT_NE(failure(try_at(kStart, proof(kJoiner, "another connection"))), "");
  EXPECT_NE(failure(try_at(kStart + seconds(2), proof(kJoiner, kBinding), kMiddle)), "");
  // One for a joiner who believes that somebody else is the owner.
  const Hash for_middle = code().joiner_proof(kJoiner, kMiddle, kBinding);
  EXPECT_NE(failure(try_at(kStart + seconds(4), encode(CodeProof{1, "tablet", for_middle}))), "");
  // The owner's own answer is no joiner's proof.
  const Hash reflected = code().owner_proof(kJoiner, kOwner, kBinding);
  EXPECT_NE(failure(try_at(kStart + seconds(6), encode(CodeProof{1, "tablet", reflected}))), "");
  EXPECT_TRUE(invitation.is_open(kStart + seconds(6)));
}

TEST_F(PairingByCode, TheOwnerHasToKnowTheSecretToo) {
  CodeJoiner joiner(code(), {kJoiner, kOwner, kBinding}, "tablet");
  (void)joiner.start(kStart);
  EXPECT_THAT(failure(joiner.on(encode(CodeWelcome{filled(1), "{}"}), kStart)), HasSubstr("does not know"));
}

TEST_F(PairingByCode, GarbageAndWrongTurnsEndIt) {
  for (const std::string& bad :
       {std::string(), std::string("{}"), encode(PairHello{1, "a"}), encode(CodeWelcome{filled(1), "{}"}),
        encode(PairWelcome{"{}"}), std::string(kMaxPairingBytes + 1, '{')}) {
    EXPECT_NE(failure(try_at(kStart, bad)), "") << bad.substr(0, 60);
    CodeJoiner joiner(code(), {kJoiner, kOwner, kBinding}, "tablet");
    (void)joiner.start(kStart);
    EXPECT_NE(failure(joiner.on(bad, kStart)), "") << bad.substr(0, 60);
    EXPECT_TRUE(joiner.on(bad, kStart).empty());
  }
  EXPECT_TRUE(invitation.is_open(kStart));
}

TEST_F(PairingByCode, EveryWaitHasAnEnd) {
  CodeJoiner joiner(code(), {kJoiner, kOwner, kBinding}, "tablet");
  EXPECT_FALSE(joiner.next_deadline());
  (void)joiner.start(kStart);
  EXPECT_EQ(joiner.next_deadline(), kStart + kCodeStep);
  EXPECT_TRUE(joiner.on_time(kStart).empty());
  EXPECT_THAT(failure(joiner.on_time(kStart + kCodeStep)), HasSubstr("in time"));
  CodeOwner owner(invitation, {kOwner, kJoiner, kBinding}, kStart);
  EXPECT_EQ(owner.next_deadline(), kStart + kCodeStep);
  EXPECT_THAT(failure(owner.on_time(kStart + kCodeStep)), HasSubstr("in time"));
  EXPECT_TRUE(owner.on(wrong, kStart).empty());
}

TEST_F(PairingByCode, WhatCannotBeAdmittedIsSaid) {
  CodeOwner owner(invitation, {kOwner, kJoiner, kBinding}, kStart);
  EXPECT_TRUE(owner.welcome("{}").empty());
  (void)owner.on(proof(kJoiner, kBinding), kStart);
  const auto refused = owner.cannot_admit(Error{Code::exhausted, "the disk is full", ""});
  EXPECT_THAT(sent(refused), HasSubstr("the disk is full"));
  CodeJoiner joiner(code(), {kJoiner, kOwner, kBinding}, "tablet");
  (void)joiner.start(kStart);
  EXPECT_THAT(failure(joiner.on(sent(refused), kStart)), HasSubstr("the disk is full"));
  EXPECT_NE(find<AdmitDevice>(try_at(kStart, proof(kJoiner, kBinding))), nullptr) << "the code is still good";
}

}  // namespace
}  // namespace caravan::link
