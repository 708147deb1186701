#include "plan/solver.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

namespace caravan::plan {
namespace {

/// What a cut costs, added up layer by layer; nothing when it breaks a rule.
std::optional<double> price(const Chain& chain, const std::vector<Segment>& segments) {
  double cost = chain.carriers[0].entry;
  double slowest = 0;
  std::size_t layer = 0;
  for (std::size_t k = 0; k < segments.size(); ++k) {
    const Carrier& carrier = chain.carriers[segments[k].carrier];
    const bool last = k + 1 == segments.size();
    double load = 0;
    if (k > 0) {
      cost += carrier.entry;
      if (!chain.hand_on.empty()) {
        const HandOn way = chain.hand_on[segments[k - 1].carrier][segments[k].carrier];
        cost += way.cost;
        load += way.load;
      }
    }
    std::uint64_t size = last ? carrier.tail_size : 0;
    for (int n = 0; n < segments[k].count; ++n, ++layer) {
      size += chain.sizes[layer];
      cost += carrier.cost[layer];
      if (chain.slowest > 0) load += carrier.load[layer];
    }
    slowest = std::max(slowest, load);
    if (last) cost += carrier.tail_cost;
    if (size > carrier.room) return std::nullopt;
  }
  for (std::size_t i = 1; i < chain.carriers.size(); ++i) {
    const bool used =
        std::any_of(segments.begin(), segments.end(), [&](const Segment& s) { return s.carrier == i; });
    if (chain.carriers[i].required && !used) return std::nullopt;
  }
  return layer == chain.sizes.size() ? std::optional<double>(cost + chain.slowest * slowest) : std::nullopt;
}

/// Every order of every subset with every choice of counts.
void try_all(const Chain& chain, std::vector<Segment>& so_far, int left, std::optional<double>& best) {
  if (left == 0) {
    const auto cost = price(chain, so_far);
    if (cost && (!best || *cost < *best)) best = cost;
    return;
  }
  for (std::size_t i = 1; i < chain.carriers.size(); ++i) {
    if (std::any_of(so_far.begin(), so_far.end(), [&](const Segment& s) { return s.carrier == i; })) continue;
    for (int count = 1; count <= left; ++count) {
      so_far.push_back({i, count});
      try_all(chain, so_far, left - count, best);
      so_far.pop_back();
    }
  }
}

std::optional<double> brute_force(const Chain& chain) {
  std::optional<double> best;
  const int layers = static_cast<int>(chain.sizes.size());
  for (int on_master = 0; on_master <= layers; ++on_master) {
    std::vector<Segment> segments{{0, on_master}};
    try_all(chain, segments, layers - on_master, best);
  }
  return best;
}

struct Shape {
  int layers = 1;
  int carriers = 1;
  bool uniform = false;
  bool tail = false;
  bool hand_on = false;  ///< it matters who hands on to whom
  double slowest = 0;
};

Chain random_chain(std::mt19937& random, const Shape& shape) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  Chain chain;
  for (int l = 0; l < shape.layers; ++l) {
    chain.sizes.push_back(static_cast<std::uint64_t>(shape.uniform ? 10 : pick(5, 15)));
  }
  for (int i = 0; i < shape.carriers; ++i) {
    Carrier carrier;
    const double speed = pick(1, 9) * 0.1;
    for (int l = 0; l < shape.layers; ++l) {
      const double twist = shape.uniform ? 1.0 : pick(8, 12) * 0.1;
      carrier.cost.push_back(speed * twist * static_cast<double>(chain.sizes[static_cast<std::size_t>(l)]));
    }
    carrier.entry = pick(0, 40) * 0.1;
    carrier.room = static_cast<std::uint64_t>(pick(0, 60));
    carrier.required = i > 0 && pick(0, 9) == 0;
    if (shape.tail) {
      carrier.tail_cost = pick(0, 30) * 0.1;
      carrier.tail_size = static_cast<std::uint64_t>(pick(0, 20));
    }
    for (int l = 0; shape.slowest > 0 && l < shape.layers; ++l) {
      carrier.load.push_back(carrier.cost[static_cast<std::size_t>(l)] * pick(shape.uniform ? 10 : 5, 10) *
                             0.1);
    }
    chain.carriers.push_back(std::move(carrier));
  }
  chain.slowest = shape.slowest;
  for (int i = 0; shape.hand_on && i < shape.carriers; ++i) {
    chain.hand_on.emplace_back();
    for (int j = 0; j < shape.carriers; ++j)
      chain.hand_on.back().push_back({pick(0, 40) * 0.1, shape.slowest > 0 ? pick(0, 10) * 0.1 : 0.0});
  }
  return chain;
}

TEST(Solver, IsTheOptimumOfThousandsOfRandomChains) {
  std::mt19937 random(7433);
  int solvable = 0;
  for (int round = 0; round < 4000; ++round) {
    const Shape shape{1 + round % 6, 1 + round % 4, round % 5 == 0, round % 3 == 0};
    const Chain chain = random_chain(random, shape);
    const auto expected = brute_force(chain);
    const auto cut = cheapest_cut(chain);
    ASSERT_EQ(cut.has_value(), expected.has_value()) << "round " << round;
    if (!cut) continue;
    ++solvable;
    EXPECT_NEAR(cut->cost, *expected, 1e-6) << "round " << round;
    const auto priced = price(chain, cut->segments);
    ASSERT_TRUE(priced) << "round " << round;
    EXPECT_NEAR(*priced, cut->cost, 1e-6) << "round " << round;
    EXPECT_EQ(cut->segments.front().carrier, 0U);
  }
  EXPECT_GT(solvable, 1000);
  EXPECT_LT(solvable, 4000) << "some must not fit";
}

TEST(Solver, SixteenDevicesWithUnlikeLayersAreSolvedExactly) {
  // A cut that only one order allows: each worker fits exactly one group of layers.
  Chain chain;
  Carrier master;
  master.room = 0;
  master.cost.assign(30, 1.0);
  chain.carriers.push_back(master);
  std::vector<std::uint64_t> groups;
  for (std::uint64_t w = 0; w < 15; ++w) groups.push_back(100 + (w * 7) % 15);
  for (std::uint64_t group : groups) {
    chain.sizes.push_back(group / 2);
    chain.sizes.push_back(group - group / 2);
  }
  std::vector<std::uint64_t> rooms = groups;
  std::shuffle(rooms.begin(), rooms.end(), std::mt19937(3));
  for (std::uint64_t room : rooms) {
    Carrier carrier;
    carrier.room = room;
    carrier.cost.assign(30, 1.0);
    chain.carriers.push_back(carrier);
  }
  const auto cut = cheapest_cut(chain);
  ASSERT_TRUE(cut);
  EXPECT_DOUBLE_EQ(cut->cost, 30);
  EXPECT_TRUE(price(chain, cut->segments));
}

TEST(Solver, IsTheOptimumAlsoWhereHandingOnAndTheSlowestCount) {
  std::mt19937 random(511);
  int solvable = 0;
  for (int round = 0; round < 4000; ++round) {
    const Shape shape{1 + round % 6,  1 + round % 4,  round % 5 == 0,
                      round % 3 == 0, round % 2 == 0, (round % 7) * 0.5};
    const Chain chain = random_chain(random, shape);
    const auto expected = brute_force(chain);
    const auto cut = cheapest_cut(chain);
    ASSERT_EQ(cut.has_value(), expected.has_value()) << "round " << round;
    if (!cut) continue;
    ++solvable;
    EXPECT_NEAR(cut->cost, *expected, 1e-6) << "round " << round;
    const auto priced = price(chain, cut->segments);
    ASSERT_TRUE(priced) << "round " << round;
    EXPECT_NEAR(*priced, cut->cost, 1e-6) << "round " << round;
  }
  EXPECT_GT(solvable, 1000);
}

TEST(Solver, FewerCarriersWinATie) {
  Chain chain;
  chain.sizes.assign(4, 1);
  for (int i = 0; i < 3; ++i) {
    Carrier carrier;
    carrier.cost.assign(4, 1.0);
    carrier.room = 4;
    chain.carriers.push_back(carrier);
  }
  const auto cut = cheapest_cut(chain);
  ASSERT_TRUE(cut);
  ASSERT_EQ(cut->segments.size(), 1U);
  EXPECT_EQ(cut->segments[0].count, 4);
}

TEST(Solver, ABoundThatNothingMeetsGivesNothing) {
  Chain chain;
  chain.sizes.assign(2, 1);
  Carrier carrier;
  carrier.cost.assign(2, 1.0);
  carrier.room = 2;
  chain.carriers.push_back(carrier);
  EXPECT_TRUE(cheapest_cut(chain, 2.0));
  EXPECT_FALSE(cheapest_cut(chain, 1.9));
}

TEST(Solver, CountsWhatFits) {
  Chain chain;
  chain.sizes.assign(10, 10);
  for (std::uint64_t room : {25ULL, 19ULL, 9ULL}) {
    Carrier carrier;
    carrier.cost.assign(10, 1.0);
    carrier.room = room;
    carrier.tail_size = 5;
    chain.carriers.push_back(carrier);
  }
  EXPECT_EQ(most_layers(chain), 3) << "two on the first; one and the tail on the second";
  EXPECT_FALSE(cheapest_cut(chain));
}

}  // namespace
}  // namespace caravan::plan
