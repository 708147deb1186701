#include "link/membership.h"

#include <gmock/gmock.h>

#include "link/testing.h"

namespace caravan::link {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kNow = 1'700'000'000;

/// Owners a and b, member c, as each of them holds it.
class MembershipOfThree : public ::testing::Test {
 protected:
  MembershipOfThree() : at_a(*Membership::create(a, "home", "a", kNow)), at_b(at_a), at_c(at_a) {
    EXPECT_TRUE(at_a.add(a, b.public_key(), "b", kNow + 1).ok());
    EXPECT_TRUE(at_a.add(a, c.public_key(), "c", kNow + 2).ok());
    EXPECT_TRUE(at_a.promote(a, b.public_key()).ok());
    EXPECT_TRUE(give(at_a, at_b));
    EXPECT_TRUE(give(at_a, at_c));
  }

  static bool give(const Membership& from, Membership& to) {
    const auto accepted = to.accept(from.document());
    EXPECT_TRUE(accepted.ok()) << accepted.error().message;
    return accepted.ok() && accepted.value().outcome == Outcome::adopted;
  }
  static void exchange(Membership& one, Membership& other) {
    (void)give(one, other);
    (void)give(other, one);
    EXPECT_EQ(one.summary(), other.summary());
    EXPECT_EQ(one.state(), other.state());
  }

  Identity a = test_identity(1);
  Identity b = test_identity(2);
  Identity c = test_identity(3);
  Identity d = test_identity(4);
  Membership at_a;
  Membership at_b;
  Membership at_c;
};

// Made with OpenSSL's command line and Python's json and hashlib, not with this code.
TEST(Membership, GoldenDocument) {
  const Identity owner = test_identity(1);
  auto membership = Membership::create(owner, "home", "pixel-6", kNow);
  ASSERT_TRUE(membership.ok());
  ASSERT_TRUE(membership->add(owner, test_identity(2).public_key(), "tablet", kNow + 1).ok());
  EXPECT_EQ(membership->cluster_id(), "lg4uvfs2h7ozg2fcmg54j2t6y33m67aq");
  EXPECT_EQ(hex(sha256(membership->document())),
            "d087982536b63da67c764e1ebb49989f8ab770f89d38b3867314ba29eb3cf2f4");
  EXPECT_EQ(membership->summary(),
            (MembershipSummary{"lg4uvfs2h7ozg2fcmg54j2t6y33m67aq", 2,
                               "06bac1c8b9adcaab0515860f9fcc343548ce71ef099373c4f707bcc79550a403"}));
  const auto read = Membership::parse(membership->document());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->document(), membership->document());
}

TEST_F(MembershipOfThree, AllHoldTheSame) {
  EXPECT_EQ(at_c.summary(), at_a.summary());
  EXPECT_EQ(at_c.version(), 4U);
  EXPECT_TRUE(at_c.is_owner(b.public_key()));
  EXPECT_FALSE(at_c.is_owner(c.public_key()));
  EXPECT_TRUE(at_c.is_member(c.public_key()));
  EXPECT_EQ(at_c.state().members.at(c.public_key()).joined_at, kNow + 2);
  const auto again = at_c.accept(at_a.document());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().outcome, Outcome::same);
  EXPECT_FALSE(again.value().they_lack);
}

TEST_F(MembershipOfThree, OlderDocumentsChangeNothing) {
  const std::string old = at_a.document();
  ASSERT_TRUE(at_a.remove(a, c.public_key(), kNow).ok());
  const std::string current = at_a.document();
  const auto accepted = at_a.accept(old);
  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(accepted.value().outcome, Outcome::older);
  EXPECT_TRUE(accepted.value().they_lack);
  EXPECT_EQ(at_a.document(), current);
  EXPECT_FALSE(at_a.is_member(c.public_key()));
}

TEST_F(MembershipOfThree, OnlyOwnersChangeOthers) {
  const std::string before = at_c.document();
  EXPECT_FALSE(at_c.add(c, d.public_key(), "d", kNow).ok());
  EXPECT_FALSE(at_c.remove(c, a.public_key(), kNow).ok());
  EXPECT_FALSE(at_c.promote(c, c.public_key()).ok());
  EXPECT_FALSE(at_c.rename(c, a.public_key(), "mine").ok());
  EXPECT_FALSE(at_c.rename(c, c.public_key(), "kitchen").ok()) << "or it could fill the log";
  EXPECT_FALSE(at_c.leave(d).ok());
  EXPECT_EQ(at_c.document(), before);
  EXPECT_TRUE(at_b.rename(b, c.public_key(), "kitchen").ok());
  EXPECT_TRUE(give(at_b, at_c));
  EXPECT_EQ(at_c.state().members.at(c.public_key()).name, "kitchen");
}

TEST_F(MembershipOfThree, WhatMakesNoSenseIsRefused) {
  EXPECT_FALSE(at_a.add(a, c.public_key(), "again", kNow).ok());
  EXPECT_FALSE(at_a.add(a, d.public_key(), "c", kNow).ok()) << "the name is taken";
  EXPECT_FALSE(at_a.add(a, d.public_key(), "", kNow).ok());
  EXPECT_FALSE(at_a.add(a, d.public_key(), "\x1b[2J", kNow).ok());
  EXPECT_FALSE(at_a.rename(a, c.public_key(), "").ok());
  EXPECT_FALSE(at_a.remove(a, d.public_key(), kNow).ok());
  EXPECT_FALSE(at_a.remove(a, a.public_key(), kNow).ok());
  EXPECT_FALSE(at_a.promote(a, b.public_key()).ok());
  EXPECT_EQ(at_a.version(), 4U);
  EXPECT_FALSE(Membership::create(a, "", "a", kNow).ok());
  EXPECT_FALSE(Membership::create(a, "home", "a\n", kNow).ok());
}

TEST_F(MembershipOfThree, TheLastOwnerStays) {
  ASSERT_TRUE(at_a.leave(a).ok());
  ASSERT_TRUE(give(at_a, at_b));
  EXPECT_FALSE(at_b.leave(b).ok());
  EXPECT_FALSE(at_b.remove(b, b.public_key(), kNow).ok());
  EXPECT_TRUE(at_b.is_owner(b.public_key()));
  EXPECT_TRUE(at_b.state().removed.at(a.public_key()).left);
}

TEST_F(MembershipOfThree, BothOwnersLeaveAtOnceAndOneStays) {
  ASSERT_TRUE(at_a.leave(a).ok());
  ASSERT_TRUE(at_b.leave(b).ok());
  exchange(at_a, at_b);
  EXPECT_EQ(at_a.state().owners(), 1U);
}

TEST_F(MembershipOfThree, ARemovedDeviceCannotActEvenOverThoseWhoWereAway) {
  ASSERT_TRUE(at_a.remove(a, b.public_key(), kNow).ok());
  // b has not heard of it, or will not: it lets d in and makes it an owner. c was away, and hears b first.
  ASSERT_TRUE(at_b.add(b, d.public_key(), "d", kNow).ok());
  ASSERT_TRUE(at_b.promote(b, d.public_key()).ok());
  ASSERT_TRUE(give(at_b, at_c));
  EXPECT_TRUE(at_c.is_owner(d.public_key()));
  exchange(at_c, at_a);
  EXPECT_FALSE(at_c.is_member(d.public_key()));
  EXPECT_FALSE(at_c.is_member(b.public_key()));
  // Also after a restart, and in knowledge of its removal.
  auto restarted = Membership::parse(at_c.document());
  ASSERT_TRUE(restarted.ok());
  EXPECT_EQ(restarted->state(), at_c.state());
  EXPECT_FALSE(restarted->add(b, d.public_key(), "d", kNow).ok());
  EXPECT_EQ(restarted->state().removed.at(b.public_key()).at_version, 5U);
}

TEST_F(MembershipOfThree, RemovalWinsOverPromotionAtTheSameTime) {
  ASSERT_TRUE(at_a.promote(a, c.public_key()).ok());
  ASSERT_TRUE(at_b.remove(b, c.public_key(), kNow).ok());
  exchange(at_a, at_b);
  EXPECT_FALSE(at_a.is_member(c.public_key()));
}

TEST_F(MembershipOfThree, ARemovedDeviceCanBeLetInAgain) {
  ASSERT_TRUE(at_a.remove(a, c.public_key(), kNow).ok());
  ASSERT_TRUE(at_a.add(a, c.public_key(), "c", kNow).ok());
  exchange(at_a, at_c);
  EXPECT_TRUE(at_c.is_member(c.public_key()));
  EXPECT_TRUE(at_c.state().removed.empty());
  EXPECT_TRUE(at_c.leave(c).ok());
  exchange(at_a, at_c);
  EXPECT_FALSE(at_a.is_member(c.public_key()));
  EXPECT_TRUE(at_a.state().removed.at(c.public_key()).left);
}

TEST_F(MembershipOfThree, LeavingWinsOverBeingLetInAtTheSameTime) {
  // Both owners let d in, b after other changes; d hears of a's only, and leaves.
  ASSERT_TRUE(at_a.add(a, d.public_key(), "d", kNow).ok());
  for (const char* name : {"c1", "c2", "c3"}) ASSERT_TRUE(at_b.rename(b, c.public_key(), name).ok());
  ASSERT_TRUE(at_b.add(b, d.public_key(), "d", kNow).ok());
  Membership at_d = *Membership::join(at_a.document(), a.public_key(), d.public_key());
  ASSERT_TRUE(at_d.leave(d).ok());
  exchange(at_a, at_b);
  EXPECT_TRUE(at_a.is_member(d.public_key()));
  exchange(at_a, at_d);
  exchange(at_b, at_d);
  EXPECT_FALSE(at_b.is_member(d.public_key()));
  EXPECT_EQ(at_b.state(), at_a.state());
  ASSERT_TRUE(at_b.add(b, d.public_key(), "d", kNow).ok()) << "in knowledge of its leaving, it may come back";
  EXPECT_TRUE(at_b.is_member(d.public_key()));
}

TEST_F(MembershipOfThree, LeavingWinsOverPromotionAtTheSameTime) {
  ASSERT_TRUE(at_c.leave(c).ok());
  ASSERT_TRUE(at_a.promote(a, c.public_key()).ok());
  exchange(at_a, at_c);
  EXPECT_FALSE(at_a.is_member(c.public_key()));
  EXPECT_EQ(at_a.state().owners(), 2U);
}

TEST_F(MembershipOfThree, AdmitsUnderAFreeNameAndOnlyOnce) {
  ASSERT_TRUE(at_a.admit(a, d.public_key(), "c", kNow).ok());
  EXPECT_EQ(at_a.state().members.at(d.public_key()).name, "c-2");
  const std::uint64_t version = at_a.version();
  EXPECT_TRUE(at_a.admit(a, d.public_key(), "c", kNow).ok()) << "its welcome was lost";
  EXPECT_EQ(at_a.version(), version);
  EXPECT_FALSE(at_c.admit(c, b.public_key(), "b", kNow).ok());
  EXPECT_FALSE(at_c.admit(c, test_identity(5).public_key(), "e", kNow).ok());
  const std::string longest = "x" + std::string(kMaxNameBytes - 3, 'y') + "\xc3\xa4";
  ASSERT_TRUE(at_a.rename(a, b.public_key(), longest).ok());
  EXPECT_EQ(at_a.free_name(longest), longest.substr(0, kMaxNameBytes - 2) + "-2");
  ASSERT_TRUE(at_a.rename(a, b.public_key(), longest.substr(1) + "z").ok());
  EXPECT_EQ(at_a.free_name(longest.substr(1) + "z"), std::string(kMaxNameBytes - 3, 'y') + "-2")
      << "no half character";
}

TEST_F(MembershipOfThree, AMemberCanMakeNoMoreThanOneOfEach) {
  ASSERT_TRUE(at_a.remove(a, b.public_key(), kNow).ok());
  ASSERT_TRUE(give(at_a, at_c));
  EXPECT_TRUE(at_c.confirm_removals(c));
  ASSERT_TRUE(at_c.leave(c).ok());
  const std::uint64_t version = at_c.version();
  Membership again = at_a;  // as if it had never left, and knew other changes
  ASSERT_TRUE(again.rename(a, c.public_key(), "other").ok());
  ASSERT_TRUE(again.leave(c).ok());
  exchange(again, at_c);
  EXPECT_EQ(at_c.version(), version + 1) << "the rename: the leave is the same one";
}

TEST_F(MembershipOfThree, WhoWasRemovedCannotObjectOnceAnotherHasConfirmed) {
  // b removes the creator. c learns of it and confirms; only then a signs, with an old past, the removal of
  // b.
  ASSERT_TRUE(at_b.remove(b, a.public_key(), kNow).ok());
  ASSERT_TRUE(give(at_b, at_c));
  EXPECT_TRUE(at_c.confirm_removals(c));
  EXPECT_FALSE(at_c.confirm_removals(c)) << "once is enough";
  EXPECT_FALSE(at_b.confirm_removals(b)) << "not one's own";
  ASSERT_TRUE(at_a.remove(a, b.public_key(), kNow).ok());
  ASSERT_TRUE(at_a.add(a, d.public_key(), "d", kNow).ok());
  exchange(at_a, at_c);
  exchange(at_b, at_c);
  EXPECT_TRUE(at_c.is_owner(b.public_key()));
  EXPECT_FALSE(at_c.is_member(a.public_key()));
  EXPECT_FALSE(at_c.is_member(d.public_key()));
  EXPECT_FALSE(at_c.confirm_removals(c));
}

TEST_F(MembershipOfThree, OwnersWhoRemoveEachOtherEndTheSameEverywhere) {
  ASSERT_TRUE(at_a.remove(a, b.public_key(), kNow).ok());
  ASSERT_TRUE(at_b.remove(b, a.public_key(), kNow).ok());
  exchange(at_a, at_b);
  EXPECT_TRUE(at_a.is_owner(a.public_key())) << "nobody has confirmed either: the creator's holds";
  EXPECT_FALSE(at_a.is_member(b.public_key()));
}

TEST_F(MembershipOfThree, RefusesWholeDocumentsThatHoldOneBadChange) {
  const std::string before = at_a.document();
  ASSERT_TRUE(at_b.add(b, d.public_key(), "d", kNow).ok());
  Json document = Json::parse(at_b.document());
  const auto refusal_of = [&](const Json& changed) {
    const auto accepted = at_a.accept(dump_json(changed));
    EXPECT_EQ(at_a.document(), before);
    return accepted.ok() ? std::string("taken") : accepted.error().message;
  };
  Json forged = document;
  forged["changes"].back()["name"] = "e";
  EXPECT_THAT(refusal_of(forged), HasSubstr("signature"));
  Json orphan = document;
  orphan["changes"].erase(1);
  ASSERT_EQ(at_a.accept(dump_json(orphan)).ok(), true) << "what it lacks is known here";
  EXPECT_TRUE(at_a.is_member(d.public_key()));
}

TEST_F(MembershipOfThree, RefusesWhatIsNoMembership) {
  const Json document = Json::parse(at_b.document());
  const auto refusal_of = [&](const Json& changed) {
    const auto accepted = at_a.accept(dump_json(changed));
    return accepted.ok() ? std::string("taken") : accepted.error().message;
  };
  Json other = document;
  other["format"] = 2;
  EXPECT_THAT(refusal_of(other), HasSubstr("format 2"));
  other = document;
  other["cluster"] = "else";
  EXPECT_THAT(refusal_of(other), HasSubstr("another cluster"));
  EXPECT_FALSE(Membership::parse(dump_json(other)).ok());
  other = document;
  other["changes"] = Json::array();
  EXPECT_THAT(refusal_of(other), HasSubstr("'changes' must not be empty"));
  EXPECT_FALSE(Membership::parse(dump_json(other)).ok());
  other = document;
  other["changes"].erase(1);
  EXPECT_THAT(Membership::parse(dump_json(other)).error().message, HasSubstr("not known"));
  other = document;
  other["later"] = "fields beside the changes are ignored";
  EXPECT_EQ(refusal_of(other), "taken");
  EXPECT_FALSE(at_a.accept(std::string(kMaxDocumentBytes + 1, ' ')).ok());
  const auto stranger = Membership::create(d, "home", "d", kNow);
  EXPECT_THAT(at_a.accept(stranger->document()).error().message, HasSubstr("another cluster"));
}

TEST_F(MembershipOfThree, JoiningChecksBothEnds) {
  EXPECT_TRUE(Membership::join(at_a.document(), a.public_key(), c.public_key()).ok());
  EXPECT_FALSE(Membership::join(at_a.document(), c.public_key(), c.public_key()).ok());
  EXPECT_FALSE(Membership::join(at_a.document(), a.public_key(), d.public_key()).ok());
  EXPECT_FALSE(Membership::join("{}", a.public_key(), d.public_key()).ok());
}

TEST_F(MembershipOfThree, FindsDevicesAsPeopleNameThem) {
  EXPECT_EQ(at_a.find("b")->key, b.public_key());
  EXPECT_EQ(at_a.find(b.id())->key, b.public_key());
  EXPECT_EQ(at_a.find(short_id(b.id()))->key, b.public_key());
  ASSERT_TRUE(at_a.rename(a, b.public_key(), "pixel-6").ok());
  EXPECT_THAT(at_a.find("pixel6").error().hint, HasSubstr("pixel-6"));
  EXPECT_EQ(at_a.find(b.id().substr(0, 3)).error().code, Code::not_found);
  EXPECT_EQ(at_a.find("").error().code, Code::not_found);
}

TEST_F(MembershipOfThree, ShowsWhatPeopleWantToKnow) {
  ASSERT_TRUE(at_a.remove(a, c.public_key(), kNow).ok());
  const Json json = to_json(at_a);
  EXPECT_EQ(json["name"], "home");
  EXPECT_EQ(json["version"], 5);
  EXPECT_EQ(json["members"].size(), 2U);
  EXPECT_EQ(json["removed"],
            Json::array({{{"id", c.id()}, {"name", "c"}, {"at_version", 5}, {"left", false}}}));
}

TEST(Membership, TheFullestDocumentFits) {
  const Identity owner = test_identity(1);
  const Identity other = test_identity(2);
  auto membership = Membership::create(owner, std::string(kMaxNameBytes, '"'), "a", kNow);
  ASSERT_TRUE(membership.ok());
  ASSERT_TRUE(membership->add(owner, other.public_key(), "b", kNow).ok());
  const auto rename = [&](std::uint64_t i) {
    return membership->rename(owner, owner.public_key(), std::string(kMaxNameBytes, i % 2 == 0 ? '"' : '\\'));
  };
  while (rename(membership->version()).ok()) {
  }
  EXPECT_EQ(membership->version(), kLastOtherChange);
  EXPECT_EQ(rename(0).error().code, Code::exhausted);
  EXPECT_FALSE(rename(0).error().hint.empty());
  // A longest change has eight parents instead of one: 67 bytes each.
  const std::size_t mean = membership->document().size() / kLastOtherChange + (kMaxParents - 1) * 67;
  EXPECT_LT(kMaxChanges * (mean + 1), kMaxDocumentBytes);
  EXPECT_EQ(Membership::parse(membership->document())->summary(), membership->summary());
  EXPECT_TRUE(membership->remove(owner, other.public_key(), kNow).ok()) << "there is always room for that";
}

}  // namespace
}  // namespace caravan::link
