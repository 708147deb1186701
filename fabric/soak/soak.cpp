#include "fabric/soak/soak.h"

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "fabric/ops/engine.h"
#include "fabric/soak/rig.h"
#include "fabric/worker/device.h"
#include "fabric/worker/server.h"

namespace caravan::fabric::soak {
namespace {

/// For faults that are seen by the time-out alone. Workers beat at most ten times a second.
constexpr Milliseconds kShortTimeout{500};
constexpr Milliseconds kReleaseTime{60000};
constexpr Milliseconds kLate{1000};
constexpr Milliseconds kLongRun{9000};
constexpr std::uint64_t kProgressEvery = 100;

Key key_of(std::uint8_t first) {
  Key key{};
  key.fill(first);
  return key;
}

/// Two workers and the three ways between them and a master.
class Lane {
 public:
  Lane(const Settings& settings, const std::vector<std::string>& expected)
      : settings_(settings), expected_(expected) {
    for (std::size_t i = 0; i < 2; ++i) {
      worker::WorkerSettings how;
      how.memory_limit = std::uint64_t{64} << 20U;
      auto& source = i == 0 ? static_cast<worker::WeightSource&>(none_) : kept_;
      servers_[i] = std::make_unique<worker::Server>(
          Identity{key_of(static_cast<std::uint8_t>(i + 1)), engine()}, how, source, nullptr);
      auto listener = Listener::open("127.0.0.1:0", Addresses::loopback);
      if (!listener) throw std::runtime_error(listener.error().message);
      const std::string address = listener->address();
      servers_[i]->serve(std::move(*listener));
      links_.push_back(std::make_unique<FaultyLink>(address));
      if (i == 1) links_.push_back(std::make_unique<FaultyLink>(address));
    }
    measure();
  }

  void run(std::uint64_t seed, Tally& tally) {
    std::mt19937_64 random(seed);
    const auto below = [&random](std::uint64_t limit) { return limit == 0 ? 0 : random() % limit; };
    const bool by_reference = below(3) == 0;
    const auto which = below(links_.size());
    Fault fault;
    fault.kind = static_cast<Kind>(1 + below(7));
    fault.there = below(3) > 0;
    fault.length = 1 + below(kMostLength);
    // Half of them late, where prompt and tokens are: most bytes are the weights.
    const auto all = carried_[by_reference ? 1 : 0][which][fault.there ? 1 : 0];
    fault.at = below(2) == 0 ? below(all) : all - 1 - below(std::min<std::uint64_t>(all, 12000));
    for (auto& link : links_) link->arm({});
    FaultyLink& link = *links_[which];
    link.arm(fault);
    const bool by_end = fault.kind == Kind::cut || fault.kind == Kind::delay;
    const auto began = Clock::now();
    const Run run = run_miniature(plan(by_reference, by_end ? settings_.patience : kShortTimeout), engine());
    const auto took = std::chrono::duration_cast<Milliseconds>(Clock::now() - began);
    const auto name =
        fmt::format("seed {}: {} of {} at {} {} link {}{}", seed, name_of(fault.kind), fault.length, fault.at,
                    fault.there ? "to" : "from", which, by_reference ? ", by reference" : "");
    judge(name, run, by_end, link.has_struck() && fault.kind != Kind::delay, tally);
    if (link.has_struck()) {
      ++tally.struck;
      ++tally.by_kind[name_of(fault.kind)];
      tally.longest = std::max(tally.longest, took);
      if (took > kLongRun) tally.late.push_back(fmt::format("{}: the run took {} ms", name, took.count()));
    }
    release(name, tally);
    ++tally.cases;
  }

 private:
  static std::string engine() { return engine_build(); }

  Plan plan(bool by_reference, Milliseconds timeout) const {
    Plan made;
    made.timeout = timeout;
    for (std::size_t i = 0; i < 2; ++i) {
      Stage stage;
      stage.name = i == 0 ? "one" : "two";
      stage.address = links_[i]->address();
      stage.key = key_of(static_cast<std::uint8_t>(i + 1));
      stage.threads = 1;
      made.stages.push_back(std::move(stage));
    }
    made.stages[1].peer = links_[2]->address();
    if (by_reference) {
      made.model = settings_.folder / "miniature.gguf";
      made.manifests = settings_.folder / "manifests";
    }
    return made;
  }

  /// Where faults can be: how many bytes there are each way.
  void measure() {
    for (const bool by_reference : {false, true}) {
      for (auto& link : links_) link->arm({});
      const Run clean = run_miniature(plan(by_reference, Plan{}.timeout), engine());
      if (!clean.opened || clean.failed || clean.results != expected_)
        throw std::runtime_error("a run without any fault is wrong");
      for (std::size_t i = 0; i < links_.size(); ++i)
        carried_[by_reference ? 1 : 0].push_back({links_[i]->carried(false), links_[i]->carried(true)});
      for (auto& link : links_) link->end_all();
    }
  }

  void judge(const std::string& name, const Run& run, bool by_end, bool hurt, Tally& tally) const {
    const bool prefix = run.results.size() <= expected_.size() &&
                        std::equal(run.results.begin(), run.results.end(), expected_.begin());
    const bool failed = !run.opened || run.failed;
    if (failed) ++tally.failed;
    if (!prefix) tally.wrong.push_back(name + ": a wrong result");
    if (!failed && run.results.size() != expected_.size())
      tally.wrong.push_back(name + ": results are missing");
    if (!failed || hurt) return;
    if (by_end && settings_.patience >= Plan{}.timeout)
      tally.wrong.push_back(name + ": it failed before anything was wrong");
    else
      ++tally.slow;
  }

  /// The workers have to let the master go, for the next one.
  void release(const std::string& name, Tally& tally) {
    const auto began = Clock::now();
    for (auto& link : links_) link->end_all();
    while (servers_[0]->busy() || servers_[1]->busy()) {
      if (Clock::now() - began > kReleaseTime) {
        tally.wrong.push_back(name + ": a worker keeps its master");
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto took = std::chrono::duration_cast<Milliseconds>(Clock::now() - began);
    tally.longest_release = std::max(tally.longest_release, took);
    if (took > kLate) tally.late.push_back(fmt::format("{}: released after {} ms", name, took.count()));
  }

  const Settings& settings_;
  const std::vector<std::string>& expected_;
  worker::NoWeights none_;
  worker::WeightsInMemory kept_;
  std::array<std::unique_ptr<worker::Server>, 2> servers_;
  std::vector<std::unique_ptr<FaultyLink>> links_;
  std::array<std::vector<std::array<std::uint64_t, 2>>, 2> carried_;
};

void add(Tally& all, const Tally& some) {
  all.cases += some.cases;
  all.struck += some.struck;
  all.failed += some.failed;
  all.slow += some.slow;
  all.longest = std::max(all.longest, some.longest);
  all.longest_release = std::max(all.longest_release, some.longest_release);
  for (const auto& [kind, count] : some.by_kind) all.by_kind[kind] += count;
  all.late.insert(all.late.end(), some.late.begin(), some.late.end());
  all.wrong.insert(all.wrong.end(), some.wrong.begin(), some.wrong.end());
}

}  // namespace

Tally soak(const Settings& settings, const std::function<void(const Tally&)>& progress) {
  write_miniature(settings.folder / "miniature.gguf");
  const auto expected = compute_miniature();
  // ggml makes its lists when they are asked for first; ThreadSanitizer cannot see that it locks, where it is
  // no part of the build.
  (void)worker::ComputeDevice::open(0, 1, nullptr);
  Tally all;
  std::mutex mutex;
  std::uint64_t next = 0;
  const auto work = [&] {
    Lane lane(settings, expected);
    while (true) {
      std::uint64_t seed = 0;
      {
        const std::scoped_lock lock(mutex);
        if (next == settings.cases) return;
        seed = settings.first_seed + next++;
      }
      Tally one;
      lane.run(seed, one);
      const std::scoped_lock lock(mutex);
      add(all, one);
      if (progress && all.cases % kProgressEvery == 0) progress(all);
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(settings.lanes);
  for (unsigned i = 0; i < settings.lanes; ++i) {
    threads.emplace_back([&] {
      try {
        work();
      } catch (const std::exception& error) {
        const std::scoped_lock lock(mutex);
        all.wrong.emplace_back(error.what());
      }
    });
  }
  for (std::thread& each : threads) each.join();
  return all;
}

}  // namespace caravan::fabric::soak
