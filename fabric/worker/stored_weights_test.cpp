#include "fabric/worker/stored_weights.h"

#include <gtest/gtest.h>

#include "fabric/worker/testing.h"

namespace caravan::fabric::worker {
namespace {

using testing::Master;

/// A worker whose store is in a folder; what is in memory goes with it.
struct StoredWorker {
  explicit StoredWorker(const fs::path& folder)
      : all(nullptr, std::move(*TensorStore::open(folder, StoreLimits{}))),
        weights(all),
        server(testing::identity(), testing::settings(), weights, nullptr) {}
  Weights all;
  StoredWeights weights;
  Server server;
};

/// Wants `bytes` at a worker, from `from` on if it says so; how many bytes it had, and what is there then.
std::pair<std::uint64_t, std::string> load(Master& master, const std::string& bytes, std::uint64_t at_most) {
  EXPECT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Alloc{1, bytes.size()});
  master.say(Weight{0, 1, 0, {hash_of(bytes), bytes.size()}});
  master.say(WeightsEnd{1});
  const auto missing = master.hear_message<Missing>();
  if (!missing) return {0, missing.error().message};
  const std::uint64_t had = missing->weights.empty() ? bytes.size() : missing->weights.front().have;
  for (std::uint64_t at = had; at < std::min<std::uint64_t>(at_most, bytes.size()); at += kMaxChunk)
    master.say(Stream{0, at, Packing::plain, std::string_view(bytes).substr(at, kMaxChunk)});
  if (at_most < bytes.size()) {
    master.say(Ping{2});
    EXPECT_TRUE(master.hear_message<Pong>().ok());
    return {had, ""};
  }
  const auto all = master.fetch({1, 0, bytes.size()});
  return {had, all ? *all : all.error().message};
}

TEST(FabricStoredWeights, TheNextStartSendsNoWeights) {
  const auto folder = TemporaryFolder::make("worker-store");
  ASSERT_TRUE(folder.ok());
  for (const std::string& bytes : {std::string("small"), std::string(3 * kMaxChunk + 5, 'x')}) {
    for (const std::uint64_t had : {std::uint64_t{0}, std::uint64_t{bytes.size()}}) {
      StoredWorker worker(folder->path());
      Master master(worker.server);
      EXPECT_EQ(load(master, bytes, bytes.size()), std::pair(had, bytes));
    }
  }
}

TEST(FabricStoredWeights, AStreamThatWasCutGoesOnAfterARestart) {
  const auto folder = TemporaryFolder::make("worker-store");
  ASSERT_TRUE(folder.ok());
  const std::string bytes(3 * kMaxChunk, 'y');
  {
    StoredWorker worker(folder->path());
    Master master(worker.server);
    EXPECT_EQ(load(master, bytes, 2 * kMaxChunk).first, 0U);
  }
  StoredWorker worker(folder->path());
  Master master(worker.server);
  EXPECT_EQ(load(master, bytes, bytes.size()), std::pair(std::uint64_t{2 * kMaxChunk}, bytes));
}

}  // namespace
}  // namespace caravan::fabric::worker
