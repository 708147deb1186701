#include "link/pairing_numeric.h"

#include <random>

#include <gmock/gmock.h>

#include "link/testing.h"

namespace caravan::link {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

const PublicKey kOwner = test_identity(1).public_key();
const PublicKey kJoiner = test_identity(2).public_key();
const PublicKey kMiddle = test_identity(9).public_key();
const std::string kBinding(32, 'b');
const TimePoint kStart{seconds(1000)};

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

std::string digits(const PairingActions& actions) {
  const auto* shown = find<ShowDigits>(actions);
  return shown == nullptr ? "" : shown->digits;
}

bool failed(const PairingActions& actions) { return find<PairingFailed>(actions) != nullptr; }

Hash nonce_of(std::mt19937& random) {
  Hash nonce{};
  for (std::uint8_t& byte : nonce) byte = static_cast<std::uint8_t>(random());
  return nonce;
}

/// An owner and a joiner over one undisturbed connection.
struct Pair {
  explicit Pair(PairingWindow& window, JoinerAsks asks = JoinerAsks::nobody)
      : joiner({kJoiner, kOwner, kBinding, filled(3)}, "tablet", asks),
        owner(window, {kOwner, kJoiner, kBinding, filled(4)}, "home", "pixel-6", kStart) {}

  NumericJoiner joiner;
  NumericOwner owner;
};

TEST(PairingNumeric, GoldenDigits) {  // made with Python's hashlib
  EXPECT_EQ(hex(pairing_commitment(kOwner, kJoiner, kBinding, filled(4))),
            "94e519633fba67ff2fe7fd58b0404f9d4fb67dbdbfc373dbe186257b2ac55d4e");
  EXPECT_EQ(pairing_digits(kJoiner, kOwner, kBinding, filled(3), filled(4)), "527239");
}

TEST(PairingNumeric, BothShowTheSameAndTheJoinerIsIn) {
  PairingWindow window(kStart);
  Pair pair(window);
  const std::string hello = sent(pair.joiner.start(kStart));
  const std::string commit = sent(pair.owner.on(hello, kStart));
  const std::string nonce = sent(pair.joiner.on(commit, kStart));
  const auto at_owner = pair.owner.on(nonce, kStart);
  const auto at_joiner = pair.joiner.on(sent(at_owner), kStart);
  EXPECT_EQ(digits(at_owner), "527239");
  EXPECT_EQ(digits(at_joiner), "527239");
  EXPECT_EQ(find<ShowDigits>(at_owner)->peer_name, "tablet");
  EXPECT_EQ(find<ShowDigits>(at_owner)->peer, kJoiner);
  EXPECT_EQ(find<ShowDigits>(at_joiner)->peer_name, "pixel-6");
  EXPECT_EQ(find<ShowDigits>(at_joiner)->cluster, "home");
  const auto admitted = pair.owner.confirm(true, kStart);
  ASSERT_NE(find<AdmitDevice>(admitted), nullptr);
  EXPECT_EQ(find<AdmitDevice>(admitted)->device, kJoiner);
  EXPECT_EQ(find<AdmitDevice>(admitted)->name, "tablet");
  const auto joined = pair.joiner.on(sent(pair.owner.welcome(R"({"format":1})")), kStart);
  ASSERT_NE(find<JoinedCluster>(joined), nullptr);
  EXPECT_EQ(find<JoinedCluster>(joined)->document, R"({"format":1})");
  EXPECT_TRUE(pair.owner.is_over() && pair.joiner.is_over());
  EXPECT_EQ(window.tries_left(), kPairingTries);
}

TEST(PairingNumeric, TheJoinerCanAskItsPersonTooInEitherOrder) {
  for (const bool person_first : {true, false}) {
    PairingWindow window(kStart);
    Pair pair(window, JoinerAsks::its_person);
    const std::string commit = sent(pair.owner.on(sent(pair.joiner.start(kStart)), kStart));
    (void)pair.joiner.on(sent(pair.owner.on(sent(pair.joiner.on(commit, kStart)), kStart)), kStart);
    (void)pair.owner.confirm(true, kStart);
    const std::string welcome = sent(pair.owner.welcome("{}"));
    const auto first = person_first ? pair.joiner.confirm(true, kStart) : pair.joiner.on(welcome, kStart);
    EXPECT_TRUE(first.empty()) << "one of two";
    const auto joined = person_first ? pair.joiner.on(welcome, kStart) : pair.joiner.confirm(true, kStart);
    EXPECT_NE(find<JoinedCluster>(joined), nullptr);
  }
}

TEST(PairingNumeric, EitherPersonCanSayNo) {
  PairingWindow window(kStart);
  for (const bool at_owner : {true, false}) {
    Pair pair(window);
    const std::string commit = sent(pair.owner.on(sent(pair.joiner.start(kStart)), kStart));
    (void)pair.joiner.on(sent(pair.owner.on(sent(pair.joiner.on(commit, kStart)), kStart)), kStart);
    const auto refused = at_owner ? pair.owner.confirm(false, kStart) : pair.joiner.confirm(false, kStart);
    EXPECT_TRUE(failed(refused));
    const auto told = at_owner ? pair.joiner.on(sent(refused), kStart) : pair.owner.on(sent(refused), kStart);
    ASSERT_TRUE(failed(told));
    EXPECT_EQ(sent(told), "") << "no answer to a refusal";
    EXPECT_THAT(find<PairingFailed>(told)->error.message, HasSubstr("not confirmed as the same"));
    EXPECT_TRUE(pair.owner.confirm(true, kStart).empty());
    EXPECT_TRUE(pair.joiner.confirm(true, kStart).empty());
  }
  EXPECT_EQ(window.tries_left(), kPairingTries - 2);
}

// Somebody has a connection to each: towards the joiner it plays the owner, towards the owner the joiner.
TEST(PairingNumeric, InTheMiddlePassingEverythingOnFails) {
  PairingWindow window(kStart);
  NumericJoiner joiner({kJoiner, kMiddle, "one", filled(3)}, "tablet");
  NumericOwner owner(window, {kOwner, kMiddle, "two", filled(4)}, "home", "pixel-6", kStart);
  const std::string commit = sent(owner.on(sent(joiner.start(kStart)), kStart));
  const auto reveal = owner.on(sent(joiner.on(commit, kStart)), kStart);
  const auto checked = joiner.on(sent(reveal), kStart);
  ASSERT_TRUE(failed(checked));
  EXPECT_THAT(find<PairingFailed>(checked)->error.message, HasSubstr("committed"));
}

TEST(PairingNumeric, InTheMiddleWithNoncesOfItsOwnTheDigitsDiffer) {
  std::mt19937 random(20'240'501);
  int same = 0;
  for (int i = 0; i < 300; ++i) {
    PairingWindow window(kStart);
    NumericJoiner joiner({kJoiner, kMiddle, "one", nonce_of(random)}, "tablet");
    NumericOwner owner(window, {kOwner, kMiddle, "two", nonce_of(random)}, "home", "pixel-6", kStart);
    NumericJoiner to_owner({kMiddle, kOwner, "two", nonce_of(random)}, "tablet");
    PairingWindow its_window(kStart);
    NumericOwner to_joiner(its_window, {kMiddle, kJoiner, "one", nonce_of(random)}, "home", "pixel-6",
                           kStart);
    const std::string its_nonce =
        sent(to_owner.on(sent(owner.on(sent(to_owner.start(kStart)), kStart)), kStart));
    const std::string at_owner = digits(owner.on(its_nonce, kStart));
    const std::string nonce = sent(joiner.on(sent(to_joiner.on(sent(joiner.start(kStart)), kStart)), kStart));
    const std::string at_joiner = digits(joiner.on(sent(to_joiner.on(nonce, kStart)), kStart));
    ASSERT_EQ(at_owner.size(), 6U);
    ASSERT_EQ(at_joiner.size(), 6U);
    same += at_owner == at_joiner ? 1 : 0;
  }
  EXPECT_EQ(same, 0);
}

TEST(PairingNumeric, DigitsCollideByChanceOnly) {
  std::mt19937 random(7);
  std::array<int, 10> last{};
  int same = 0;
  constexpr int kRounds = 20'000;
  for (int i = 0; i < kRounds; ++i) {
    const std::string one = pairing_digits(kJoiner, kMiddle, "one", nonce_of(random), nonce_of(random));
    const std::string two = pairing_digits(kMiddle, kOwner, "two", nonce_of(random), nonce_of(random));
    same += one == two ? 1 : 0;
    ++last.at(static_cast<std::size_t>(one.back() - '0'));
  }
  EXPECT_LE(same, 1) << "0.02 are expected";
  for (const int count : last) EXPECT_NEAR(count, kRounds / 10, 215) << "five standard deviations";
}

// It asks the owner first, so that it knows the digits there, and wants a nonce that gives the joiner the
// same.
TEST(PairingNumeric, InTheMiddleNobodyCanTakeBackACommitment) {
  std::mt19937 random(11);
  for (int i = 0; i < 100; ++i) {
    NumericJoiner joiner({kJoiner, kMiddle, "one", nonce_of(random)}, "tablet");
    (void)joiner.start(kStart);
    const Hash committed = pairing_commitment(kMiddle, kJoiner, "one", nonce_of(random));
    (void)joiner.on(encode(PairCommit{kPairingVersion, "home", "pixel-6", committed}), kStart);
    EXPECT_TRUE(failed(joiner.on(encode(PairReveal{nonce_of(random)}), kStart)));
  }
}

TEST(PairingNumeric, InTheMiddleNobodyGetsASecondNonce) {
  PairingWindow window(kStart);
  NumericOwner owner(window, {kOwner, kMiddle, "two", filled(4)}, "home", "pixel-6", kStart);
  (void)owner.on(encode(PairHello{kPairingVersion, "tablet"}), kStart);
  EXPECT_FALSE(failed(owner.on(encode(PairNonce{filled(5)}), kStart)));
  EXPECT_TRUE(failed(owner.on(encode(PairNonce{filled(6)}), kStart)));
  EXPECT_TRUE(owner.confirm(true, kStart).empty());
  EXPECT_EQ(window.tries_left(), kPairingTries - 1);
}

TEST(PairingNumeric, AStrangersWelcomeIsNotEnoughWhereThePersonIsAsked) {
  NumericJoiner joiner({kJoiner, kMiddle, "one", filled(3)}, "tablet", JoinerAsks::its_person);
  (void)joiner.start(kStart);
  const Hash commitment = pairing_commitment(kMiddle, kJoiner, "one", filled(5));
  (void)joiner.on(encode(PairCommit{kPairingVersion, "home", "pixel-6", commitment}), kStart);
  (void)joiner.on(encode(PairReveal{filled(5)}), kStart);
  EXPECT_TRUE(joiner.on(encode(PairWelcome{"{}"}), kStart).empty());
  const auto refused = joiner.confirm(false, kStart);
  EXPECT_TRUE(failed(refused));
  EXPECT_EQ(find<JoinedCluster>(refused), nullptr);
}

TEST(PairingNumeric, ThreeTriesThenItIsClosed) {
  PairingWindow window(kStart);
  for (int i = 0; i < kPairingTries; ++i) {
    EXPECT_TRUE(window.is_open(kStart));
    NumericOwner owner(window, {kOwner, kJoiner, kBinding, filled(4)}, "home", "pixel-6", kStart);
    EXPECT_FALSE(failed(owner.on(encode(PairHello{kPairingVersion, "tablet"}), kStart)));
    if (i == 0) (void)owner.on("garbage", kStart);
    if (i == 1) (void)owner.on_time(kStart + kPairingStep);
    EXPECT_EQ(owner.is_over(), i < 2);
    // The third is destroyed: the connection was lost.
  }
  EXPECT_FALSE(window.is_open(kStart));
  NumericOwner fourth(window, {kOwner, kJoiner, kBinding, filled(4)}, "home", "pixel-6", kStart);
  const auto refused = fourth.on(encode(PairHello{kPairingVersion, "tablet"}), kStart);
  ASSERT_TRUE(failed(refused));
  EXPECT_THAT(find<PairingFailed>(refused)->error.message, HasSubstr("three failed tries"));
  EXPECT_THAT(sent(refused), HasSubstr("three failed tries"));
}

TEST(PairingNumeric, OneAtATimeAndOnlyForAWhile) {
  PairingWindow window(kStart, seconds(60));
  const std::string hello = encode(PairHello{kPairingVersion, "tablet"});
  {
    NumericOwner first(window, {kOwner, kJoiner, kBinding, filled(4)}, "home", "pixel-6", kStart);
    NumericOwner second(window, {kOwner, kMiddle, kBinding, filled(5)}, "home", "pixel-6", kStart);
    EXPECT_FALSE(failed(first.on(hello, kStart)));
    EXPECT_TRUE(failed(second.on(hello, kStart)));
    EXPECT_EQ(window.tries_left(), kPairingTries) << "to be early is no failed try";
  }
  EXPECT_EQ(window.tries_left(), kPairingTries - 1);
  EXPECT_TRUE(window.is_open(kStart + seconds(59)));
  EXPECT_FALSE(window.is_open(kStart + seconds(60)));
  NumericOwner late(window, {kOwner, kJoiner, kBinding, filled(4)}, "home", "pixel-6", kStart + seconds(60));
  EXPECT_TRUE(failed(late.on(hello, kStart + seconds(60))));
}

TEST(PairingNumeric, EveryWaitHasAnEnd) {
  PairingWindow window(kStart);
  Pair pair(window);
  EXPECT_FALSE(pair.joiner.next_deadline());
  const std::string hello = sent(pair.joiner.start(kStart));
  EXPECT_EQ(pair.joiner.next_deadline(), kStart + kPairingStep);
  EXPECT_EQ(pair.owner.next_deadline(), kStart + kPairingStep);
  EXPECT_TRUE(pair.owner.on_time(kStart + kPairingStep - seconds(1)).empty());
  const TimePoint later = kStart + seconds(5);
  const std::string nonce = sent(pair.joiner.on(sent(pair.owner.on(hello, later)), later));
  EXPECT_EQ(pair.owner.next_deadline(), later + kPairingStep);
  (void)pair.joiner.on(sent(pair.owner.on(nonce, later)), later);
  EXPECT_EQ(pair.owner.next_deadline(), later + kPairingPerson);
  EXPECT_EQ(pair.joiner.next_deadline(), later + kPairingPerson + kPairingGrace);
  const auto ended = pair.owner.on_time(later + kPairingPerson);
  EXPECT_TRUE(failed(ended));
  EXPECT_TRUE(failed(pair.joiner.on(sent(ended), later)));
  EXPECT_FALSE(pair.owner.next_deadline() || pair.joiner.next_deadline());
  EXPECT_TRUE(pair.owner.on_time(later + seconds(1000)).empty());
}

/// All messages that there are.
std::vector<std::string> all_messages() {
  return {encode(PairHello{kPairingVersion, "tablet"}),
          encode(PairCommit{kPairingVersion, "home", "pixel-6", filled(1)}),
          encode(PairNonce{filled(2)}),
          encode(PairReveal{filled(3)}),
          encode(PairWelcome{"{}"}),
          encode(CodeProof{kPairingVersion, "tablet", filled(4)}),
          encode(CodeWelcome{filled(5), "{}"}),
          encode(PairRefusal{Error{Code::invalid, "no", ""}}),
          "",
          "garbage",
          "{}",
          R"({"type":"new"})",
          R"({"type":"pair_nonce","nonce":"00"})",
          std::string(kMaxWelcomeBytes + 1, ' ')};
}

TEST(PairingNumeric, AnythingOutOfTurnEndsTheOwnersTry) {
  const std::vector<std::string> valid{encode(PairHello{kPairingVersion, "tablet"}),
                                       encode(PairNonce{filled(2)})};
  for (std::size_t stage = 0; stage <= valid.size(); ++stage) {
    for (const std::string& message : all_messages()) {
      if (stage < valid.size() && message == valid[stage]) continue;
      PairingWindow window(kStart);
      NumericOwner owner(window, {kOwner, kJoiner, kBinding, filled(4)}, "home", "pixel-6", kStart);
      for (std::size_t i = 0; i < stage; ++i) ASSERT_FALSE(failed(owner.on(valid[i], kStart)));
      EXPECT_TRUE(failed(owner.on(message, kStart))) << stage << ' ' << message.substr(0, 80);
      EXPECT_TRUE(owner.is_over());
      EXPECT_TRUE(owner.confirm(true, kStart).empty());
      EXPECT_TRUE(owner.welcome("{}").empty());
      EXPECT_TRUE(owner.on(valid[0], kStart).empty());
      EXPECT_EQ(window.tries_left(), kPairingTries - (stage > 0 ? 1 : 0));
    }
  }
}

TEST(PairingNumeric, AnythingOutOfTurnEndsTheJoinersTry) {
  const Hash commitment = pairing_commitment(kOwner, kJoiner, kBinding, filled(4));
  const std::vector<std::string> valid{encode(PairCommit{kPairingVersion, "home", "pixel-6", commitment}),
                                       encode(PairReveal{filled(4)}), encode(PairWelcome{"{}"})};
  for (std::size_t stage = 0; stage <= valid.size(); ++stage) {
    for (const std::string& message : all_messages()) {
      const bool other_commit = stage == 0 && message.find("pair_commit") != std::string::npos;
      if (other_commit || (stage < valid.size() && message == valid[stage])) continue;
      NumericJoiner joiner({kJoiner, kOwner, kBinding, filled(3)}, "tablet", JoinerAsks::its_person);
      (void)joiner.start(kStart);
      for (std::size_t i = 0; i < stage; ++i) ASSERT_FALSE(failed(joiner.on(valid[i], kStart)));
      EXPECT_TRUE(failed(joiner.on(message, kStart))) << stage << ' ' << message.substr(0, 80);
      EXPECT_TRUE(joiner.is_over());
      EXPECT_TRUE(joiner.confirm(true, kStart).empty());
    }
  }
}

TEST(PairingNumeric, WhatCannotBeAdmittedIsSaid) {
  PairingWindow window(kStart);
  NumericOwner owner(window, {kOwner, kJoiner, kBinding, filled(4)}, "home", "pixel-6", kStart);
  EXPECT_TRUE(owner.cannot_admit(Error{Code::exhausted, "full", ""}).empty());
  (void)owner.on(encode(PairHello{kPairingVersion, "tablet"}), kStart);
  (void)owner.on(encode(PairNonce{filled(2)}), kStart);
  (void)owner.confirm(true, kStart);
  const auto refused = owner.cannot_admit(Error{Code::exhausted, "the disk is full", ""});
  EXPECT_TRUE(failed(refused));
  EXPECT_THAT(sent(refused), HasSubstr("the disk is full"));
}

}  // namespace
}  // namespace caravan::link
