// Seeded schedules: several devices change a membership at once, some of them after they were removed, and
// hear of each other late, twice or out of order. In the end all hold the same.
#include "link/membership_log.h"

#include <algorithm>
#include <random>
#include <set>

#include <gmock/gmock.h>

#include "link/testing.h"

namespace caravan::link {
namespace {

/// One device: its key and what it holds. Nothing is signed here; the log does not look at signatures, and
/// the tests number the changes with them.
struct Node {
  PublicKey key{};
  MembershipLog log;
  std::set<Signature> has;  ///< of what was given to it or made here: the others' ids need not be worked out
};

Signature next_number() {
  static std::uint32_t last = 0;
  Signature number{};
  ++last;
  for (std::size_t i = 0; i < 4; ++i) number[i] = static_cast<std::uint8_t>(last >> 8 * i);
  return number;
}

class World {
 public:
  World(unsigned seed, std::size_t owners, std::size_t members) : random_(seed) {
    nodes_.resize(owners + members);
    for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i].key = filled(static_cast<std::uint8_t>(i + 1));
    Node& first = nodes_.front();
    EXPECT_TRUE(make(first, {.kind = ChangeKind::create, .name = "first", .cluster = "home"}));
    for (std::size_t i = 1; i < nodes_.size(); ++i) {
      EXPECT_TRUE(make(first, {.kind = ChangeKind::add, .subject = nodes_[i].key, .name = "n"}));
      if (i >= owners) continue;
      EXPECT_TRUE(make(first, {.kind = ChangeKind::promote, .subject = nodes_[i].key}));
    }
    for (Node& node : nodes_) give(first, node);
  }

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
  std::vector<Node>& nodes() { return nodes_; }
  Node& any_node() { return nodes_[below(nodes_.size())]; }
  PublicKey fresh_key() { return filled(static_cast<std::uint8_t>(100 + fresh_++ % 150)); }

  /// False when the log refused it.
  static bool make(Node& node, Change change) {
    change.author = node.key;
    if (change.parents.empty()) change.parents = node.log.heads();
    change.signature = next_number();
    const Signature number = change.signature;
    const auto inserted = node.log.insert(std::move(change));
    if (inserted.ok()) node.has.insert(number);
    return inserted.ok() && inserted.value();
  }

  Change any_change(const Node& node) {
    Change change;
    change.subject = any_node().key;
    change.name = std::string("name-") + static_cast<char>('a' + below(26));
    change.time = below(1000);
    constexpr std::array kKinds{ChangeKind::add,    ChangeKind::remove,  ChangeKind::remove,
                                ChangeKind::rename, ChangeKind::promote, ChangeKind::remove,
                                ChangeKind::add,    ChangeKind::leave};
    change.kind = kKinds[below(kKinds.size())];
    if (change.kind == ChangeKind::add && below(2) == 0) change.subject = fresh_key();
    if (below(4) == 0) change.parents = old_parents(node.log);  // as one would who hides what it knows
    const auto let_in = node.log.let_in_by(node.key);
    const bool leaves = change.kind == ChangeKind::leave && let_in && !node.log.state().is_owner(node.key);
    if (leaves) change.parents = {*let_in};
    return change;
  }

  std::vector<ChangeId> old_parents(const MembershipLog& log) {
    const auto changes = log.in_order();
    std::vector<ChangeId> parents{changes[below(changes.size())]->id(), changes[below(changes.size())]->id()};
    std::sort(parents.begin(), parents.end());
    parents.erase(std::unique(parents.begin(), parents.end()), parents.end());
    return parents;
  }

  static void confirm(Node& node) {
    while (const auto removal = node.log.unconfirmed_removal(node.key)) {
      ASSERT_TRUE(make(node, {.kind = ChangeKind::seen, .parents = {*removal}}));
    }
  }

  /// In any order; what comes before its parents is tried again. Nothing that one took is refused by another.
  void give(const Node& from, Node& to) {
    std::vector<const Change*> changes;
    for (const Change* change : from.log.in_order()) {
      if (!to.has.contains(change->signature)) changes.push_back(change);
    }
    std::shuffle(changes.begin(), changes.end(), random_);
    while (!changes.empty()) {
      std::vector<const Change*> early;
      for (const Change* change : changes) {
        const auto inserted = to.log.insert(*change);
        ASSERT_TRUE(inserted.ok() || inserted.error().code == Code::not_found) << inserted.error().message;
        if (!inserted) early.push_back(change);
        if (inserted) to.has.insert(change->signature);
      }
      ASSERT_LT(early.size(), changes.size());
      changes = std::move(early);
    }
  }

  void settle() {
    Node& first = nodes_.front();
    for (const Node& from : nodes_) give(from, first);
    for (Node& to : nodes_) give(first, to);
  }

  void expect_agreement() const {
    for (const Node& node : nodes_) {
      EXPECT_EQ(node.log.digest(), nodes_.front().log.digest());
      EXPECT_EQ(node.log.state(), nodes_.front().log.state());
    }
    EXPECT_GE(nodes_.front().log.state().owners(), 1U);
  }

 private:
  std::mt19937 random_;
  std::vector<Node> nodes_;
  std::size_t fresh_ = 0;
};

/// What a removed device might sign: nothing of it changes who belongs.
void expect_no_power(World& world, const PublicKey& removed) {
  const MembershipLog& settled = world.nodes().front().log;
  for (const ChangeKind kind : {ChangeKind::add, ChangeKind::promote, ChangeKind::rename}) {
    for (const bool hides : {false, true}) {
      Node rogue{removed, settled};
      Change change{.kind = kind, .subject = world.any_node().key, .name = "rogue"};
      if (kind == ChangeKind::add) change.subject = world.fresh_key();
      if (hides) change.parents = world.old_parents(settled);
      const bool taken = World::make(rogue, std::move(change));
      const bool knows = !hides && settled.heads().size() < kMaxParents;
      EXPECT_FALSE(taken && knows) << "in knowledge of its removal it can make nothing";
      EXPECT_EQ(rogue.log.state(), settled.state());
    }
  }
}

TEST(MembershipLog, HundredsOfSchedulesEndTheSameEverywhere) {
  std::size_t removed = 0;
  std::size_t quarrels = 0;
  for (unsigned seed = 0; seed < 200 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, 3 + seed % 3, 2);
    for (std::size_t step = 0; step < 16; ++step) {
      Node& node = world.any_node();
      (void)World::make(node, world.any_change(node));
      if (world.below(3) == 0) World::confirm(world.any_node());
      if (world.below(3) == 0) world.give(world.any_node(), world.any_node());
    }
    world.settle();
    world.expect_agreement();
    for (const auto& [key, former] : world.nodes().front().log.state().removed) {
      EXPECT_FALSE(world.nodes().front().log.state().is_member(key));
      if (former.left) continue;
      ++removed;
      expect_no_power(world, key);
    }
    for (const Change* change : world.nodes().front().log.in_order()) {
      const bool by_removed = world.nodes().front().log.state().removed.contains(change->author);
      quarrels += change->kind == ChangeKind::remove && by_removed ? 1U : 0U;
    }
  }
  // The schedules have in them what they are about.
  EXPECT_GT(removed, 100U);
  EXPECT_GT(quarrels, 20U);
}

TEST(MembershipLog, WhoeverWasRemovedCannotObjectOnceOthersConfirmed) {
  std::size_t objections = 0;
  for (unsigned seed = 0; seed < 100 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, 3, 2);
    Node& remover = world.nodes()[1];
    Node& stolen = world.nodes()[seed % 2 == 0 ? 0 : 2];
    ASSERT_TRUE(World::make(remover, {.kind = ChangeKind::remove, .subject = stolen.key}));
    Node& witness = world.nodes()[3];
    world.give(remover, witness);
    World::confirm(witness);
    // The stolen one has friends made up with an old past, who confirm what it says.
    for (int i = 0; i < 3; ++i) {
      Node friend_node{world.fresh_key(), stolen.log};
      if (!World::make(stolen, {.kind = ChangeKind::add, .subject = friend_node.key, .name = "friend"}))
        continue;
      Change objection{.kind = ChangeKind::remove, .subject = world.any_node().key};
      if (world.below(2) == 0) objection.parents = world.old_parents(stolen.log);
      (void)World::make(stolen, std::move(objection));
      world.give(stolen, friend_node);
      World::confirm(friend_node);
      world.give(friend_node, stolen);
    }
    ASSERT_TRUE(stolen.log.state().is_owner(stolen.key));
    objections += stolen.log.state().is_member(remover.key) ? 0U : 1U;
    world.settle();
    world.expect_agreement();
    const MembershipState& state = remover.log.state();
    EXPECT_TRUE(state.is_owner(remover.key));
    EXPECT_FALSE(state.is_member(stolen.key));
    EXPECT_EQ(state.members.size(), 4U) << "no friends, and nobody else is gone";
  }
  EXPECT_GT(objections, 10U);
}

TEST(MembershipLog, ACircleOfThreeRemovalsIsCutAtOnePlace) {
  World world(1, 3, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    const PublicKey next = world.nodes()[(i + 1) % 3].key;
    ASSERT_TRUE(World::make(world.nodes()[i], {.kind = ChangeKind::remove, .subject = next}));
  }
  world.settle();
  world.expect_agreement();
  const MembershipState& state = world.nodes().front().log.state();
  EXPECT_TRUE(state.is_owner(world.nodes()[0].key)) << "the creator's removal was chosen";
  EXPECT_FALSE(state.is_member(world.nodes()[1].key));
  EXPECT_TRUE(state.is_owner(world.nodes()[2].key)) << "what would undo the chosen one was dropped";
}

TEST(MembershipLog, ConfirmationsOfBothSidesCountForNeither) {
  World world(1, 2, 1);
  Node& creator = world.nodes()[0];
  Node& other = world.nodes()[1];
  Node& voter = world.nodes()[2];
  ASSERT_TRUE(World::make(creator, {.kind = ChangeKind::remove, .subject = other.key}));
  ASSERT_TRUE(World::make(other, {.kind = ChangeKind::remove, .subject = creator.key}));
  const ChangeId removal = other.log.heads().front();
  world.give(creator, voter);
  World::confirm(voter);
  world.give(other, voter);
  EXPECT_FALSE(voter.log.unconfirmed_removal(voter.key));
  ASSERT_TRUE(World::make(voter, {.kind = ChangeKind::seen, .parents = {removal}})) << "a liar can";
  world.settle();
  world.expect_agreement();
  EXPECT_TRUE(creator.log.state().is_owner(creator.key));
}

TEST(MembershipLog, ConfirmationsLeaveNothingToChoose) {
  World world(1, 2, 2);
  Node& voter = world.nodes()[2];
  EXPECT_FALSE(World::make(voter, {.kind = ChangeKind::seen})) << "confirms no removal";
  Node& owner = world.nodes()[0];
  ASSERT_TRUE(World::make(owner, {.kind = ChangeKind::remove, .subject = world.nodes()[1].key}));
  const ChangeId removal = owner.log.heads().front();
  EXPECT_FALSE(World::make(owner, {.kind = ChangeKind::seen, .parents = {removal}})) << "its own";
  world.give(owner, voter);
  World::confirm(voter);
  const Hash digest = voter.log.digest();
  EXPECT_FALSE(World::make(voter, {.kind = ChangeKind::seen, .parents = {removal}, .time = 7})) << "known";
  EXPECT_EQ(voter.log.digest(), digest);
}

TEST(MembershipLog, ManyRemovalsAtOnceAreTakenUnlessTheyContradictEachOther) {
  World world(1, 2, 2);
  Node& one = world.nodes()[0];
  Node& two = world.nodes()[1];
  constexpr std::size_t kMany = kMaxQuarrels / 2 + 4;  // of each: together more than might quarrel
  std::vector<PublicKey> others;
  for (std::size_t i = 0; i < 2 * kMany; ++i) {
    others.push_back(world.fresh_key());
    ASSERT_TRUE(World::make(one, {.kind = ChangeKind::add, .subject = others.back(), .name = "n"}));
  }
  world.settle();
  for (const PublicKey& other : others) {
    Node& remover = &other < &others[kMany] ? one : two;
    ASSERT_TRUE(World::make(remover, {.kind = ChangeKind::remove, .subject = other}));
  }
  world.settle();
  world.expect_agreement();
  EXPECT_EQ(one.log.state().members.size(), 4U);
  // One who signs as many removals with a hidden past as it likes.
  const auto before = two.log.heads();
  ASSERT_TRUE(World::make(one, {.kind = ChangeKind::remove, .subject = two.key}));
  Node rogue{two.key, one.log};
  std::size_t taken = 0;
  for (std::uint64_t i = 0; i < kMaxQuarrels + 8; ++i) {
    Change change{.kind = ChangeKind::remove, .parents = before, .subject = one.key, .time = i};
    taken += World::make(rogue, std::move(change)) ? 1U : 0U;
  }
  EXPECT_EQ(taken, kMaxQuarrels - 1);
  EXPECT_TRUE(rogue.log.state().is_owner(one.key));
  EXPECT_TRUE(World::make(one, {.kind = ChangeKind::remove, .subject = world.nodes()[2].key}));
}

TEST(MembershipLog, RefusesASecondCreation) {
  World world(1, 1, 0);
  Node& node = world.nodes()[0];
  Change second{.kind = ChangeKind::create, .author = filled(9), .name = "x", .cluster = "y"};
  EXPECT_EQ(node.log.insert(second).error().code, Code::invalid);
  Change orphan{.kind = ChangeKind::leave, .author = node.key, .parents = {filled(77)}};
  EXPECT_EQ(node.log.insert(orphan).error().code, Code::not_found);
}

}  // namespace
}  // namespace caravan::link
