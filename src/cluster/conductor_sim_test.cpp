// Thousands of seeded cluster lives: whatever has happened, once it is quiet there is one controller and one
// plan for each wish that fits; each of its engines runs and was started once, and nothing else runs.
#include "cluster/conductor_sim.h"

#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Sanitizers take about twenty times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kSeeds = 400;
#else
constexpr unsigned kSeeds = 10'000;
#endif
constexpr int kMostRunsAfterCalm = 12;  // of three models

struct Outcome {
  std::string wrong;
  std::vector<std::string> trace;
  std::size_t events = 0;
  int runs = 0;     ///< orders to start something, after all was calm
  seconds rest{0};  ///< from then to rest
  int serves = 0;   ///< models, at the end
};

/// Nothing, or why the cluster has not come to rest within `limit`.
std::string settle(Simulation& simulation, seconds limit) {
  std::string why = "did not run";
  for (const TimePoint end = simulation.now() + limit; simulation.now() < end;) {
    simulation.run_for(seconds(4));
    if (!simulation.broken().empty()) return simulation.broken();
    why = simulation.unsettled();
    if (why.empty()) return "";
  }
  return why;
}

/// What is asked for while all is calm is done, and what is asked for beside others disturbs none of them.
std::string ask_at_rest(Simulation& simulation) {
  const std::size_t number = simulation.some_node_up();
  const SimNode& node = simulation.nodes()[number];
  const Desired before = node.conductor->desired();
  const WishChange change = simulation.some_change();
  std::map<std::string, std::map<std::string, Order>> engines;
  for (const Wish& wish : before.wishes) engines[wish.model] = simulation.engines_of(wish.model);
  simulation.ask(number, change);
  if (std::string why = settle(simulation, seconds(60)); !why.empty()) return "asked: " + why;
  const Desired& agreed = node.conductor->desired();
  if (!contains(agreed.wishes, change)) return "what was asked for is not what counts";
  if (!leaves_others(change)) return agreed.controller == node.id ? "" : "another one controls";
  const bool is_new = change.serve && before.find(model_of(change)) == nullptr;
  if (is_new && agreed.wishes.size() != before.wishes.size() + 1) return "something else changed too";
  for (const auto& [model, running] : engines) {
    if (is_new && simulation.engines_of(model) != running) return model + " was disturbed";
  }
  return "";
}

Outcome live(unsigned seed, bool trace) {
  Simulation simulation(seed, trace);
  Outcome outcome;
  const auto finish = [&](std::string wrong) {
    outcome.wrong = std::move(wrong);
    outcome.trace = simulation.trace();
    outcome.events = simulation.events();
    outcome.runs = simulation.runs_started();
    return outcome;
  };
  simulation.run_for(seconds(simulation.below(8)));
  simulation.ask(simulation.some_node_up(), {simulation.wish(simulation.chance(60) ? 1 : 2), false, ""});
  for (int model = 2; model <= 3 && simulation.chance(50); ++model) {
    simulation.run_for(milliseconds(simulation.below(30'000)));
    simulation.ask(simulation.some_node_up(), {simulation.wish(model), true, ""});
  }
  const std::uint64_t troubles = simulation.below(simulation.chance(10) ? 60 : 14);
  for (std::uint64_t i = 0; i < troubles; ++i) {
    simulation.run_for(milliseconds(simulation.below(simulation.chance(15) ? 20'000 : 3'000)));
    simulation.disturb();
  }
  simulation.calm();
  // The longest wait for a next try is kLongestRetry.
  const TimePoint calm = simulation.now();
  if (std::string why = settle(simulation, seconds(400)); !why.empty()) return finish("unsettled: " + why);
  outcome.rest = std::chrono::duration_cast<seconds>(simulation.now() - calm);
  simulation.run_for(seconds(20));  // a better plan may be found now, and is started then
  if (std::string why = settle(simulation, seconds(60)); !why.empty()) return finish("unrest: " + why);
  if (simulation.runs_started() > kMostRunsAfterCalm) return finish("restarts without end");
  if (simulation.chance(30)) {
    if (std::string why = ask_at_rest(simulation); !why.empty()) return finish(why);
  }
  std::set<std::string> models;  // of the masters
  for (const SimNode& node : simulation.nodes())
    models.insert(node.up && node.role ? node.role->model_name : "");
  models.erase("");
  outcome.serves = static_cast<int>(models.size());
  return finish(simulation.broken());
}

/// CARAVAN_SIM_SEED=N plays one and prints what has happened.
TEST(ConductorSim, EveryLifeEndsWithOneControllerAndOnePlan) {
  const char* one = std::getenv("CARAVAN_SIM_SEED");
  const unsigned first = one != nullptr ? static_cast<unsigned>(std::strtoul(one, nullptr, 10)) : 1;
  const unsigned last = one != nullptr ? first : kSeeds;
  std::size_t events = 0;
  unsigned serving = 0;
  unsigned several = 0;
  unsigned failed = 0;
  int most_runs = 0;
  seconds longest{0};
  for (unsigned seed = first; seed <= last && failed < 3; ++seed) {
    const Outcome outcome = live(seed, one != nullptr);
    events += outcome.events;
    serving += outcome.serves > 0 ? 1 : 0;
    several += outcome.serves > 1 ? 1 : 0;
    most_runs = std::max(most_runs, outcome.runs);
    longest = std::max(longest, outcome.rest);
    if (one != nullptr) fmt::print("{}\n", fmt::join(outcome.trace, "\n"));
    if (outcome.wrong.empty()) continue;
    ++failed;
    ADD_FAILURE() << "seed " << seed << ": " << outcome.wrong << "\n"
                  << (one == nullptr ? fmt::format("{}", fmt::join(live(seed, true).trace, "\n")) : "");
  }
  fmt::print(
      "{} lives, {} events, {} serve at the end, {} several models, at most {} runs and {} s after the last "
      "trouble\n",
      last - first + 1, events, serving, several, most_runs, longest.count());
  if (one == nullptr) {
    EXPECT_GT(serving, kSeeds / 3) << "most of these clusters should be able to serve";
    EXPECT_GT(several, kSeeds / 10) << "and many of them several models";
  }
}

/// Two of them never reach each other, the others reach both: who was asked controls, and goes on doing so.
TEST(ConductorSim, DevicesThatOnlyShareOthersDoNotTakeOverInTurns) {
  int played = 0;
  for (unsigned seed = 1; seed <= kSeeds / 50; ++seed) {
    Simulation simulation(seed, false);
    const std::size_t a = simulation.some_node_up();
    const std::size_t b = (a + 1) % simulation.nodes().size();
    if (simulation.nodes().size() < 3) continue;
    for (std::size_t node = 0; node < simulation.nodes().size(); ++node) simulation.start(node);
    simulation.block(a, b, true);
    simulation.run_for(seconds(10));
    simulation.ask(a, {simulation.wish(1), false, ""});
    simulation.run_for(seconds(60));
    const Desired asked = simulation.nodes()[a].conductor->desired();
    simulation.run_for(seconds(300));
    for (const SimNode& node : simulation.nodes()) {
      if (!node.up) continue;
      EXPECT_EQ(node.conductor->desired(), asked) << node.id << ", seed " << seed;
    }
    ++played;
  }
  EXPECT_GT(played, static_cast<int>(kSeeds / 200));
}

}  // namespace
}  // namespace caravan::cluster
