// The worker program here is a stand-in: a shell script.
#include <cstdlib>

#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>

#include "base/json.h"
#include "engine/fabric_worker.h"
#include "engine/testing.h"

namespace caravan::engine {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing_support::run;
using testing_support::write_script;
using namespace std::chrono_literals;

class FabricWorkerTest : public testing::Test {
 protected:
  Result<std::unique_ptr<FabricWorker>> start(const std::string& script, std::chrono::milliseconds patience) {
    write_script(spec_.files.worker, script);
    Result<std::unique_ptr<FabricWorker>> started = Error{};
    run(loop_, [](auto executor, auto spec, auto most, auto& into) -> asio::awaitable<void> {
      into = co_await FabricWorker::start(executor, std::move(spec), most);
    }(loop_.get_executor(), spec_, patience, started));
    return started;
  }

  TemporaryFolder folder_ = TemporaryFolder::make("fabric").value();
  FabricWorkerSpec spec_{{folder_.path() / "caravan-worker", folder_.path() / "m.so"},
                         {folder_.path() / "llama-server", folder_.path() / "rpc-server", ""},
                         2,
                         {"/models", "/weights", mebibytes(5)},
                         folder_.path() / "log"};
  asio::io_context loop_;
};

TEST(Fabric, ThePlanHasWhatTheModuleReads) {
  const std::vector<FabricStage> stages{{"here", {"127.0.0.1", 4000}, "", "k0", 2},
                                        {"there", {"127.0.0.1", 4001}, "127.0.0.1:4001", "k1", 0}};
  const auto plan =
      Json::parse(fabric_plan(stages, HeadPlacement::master, WireFormat::f16, "/a.gguf", "/m", "/t"));
  EXPECT_EQ(plan["head"], "master");
  EXPECT_EQ(plan["model"], "/a.gguf");
  EXPECT_EQ(plan["manifests"], "/m");
  EXPECT_EQ(plan["stages"].size(), 2U);
  EXPECT_EQ(plan["stages"][0]["address"], "127.0.0.1:4000");
  EXPECT_EQ(plan["stages"][1]["peer"], "127.0.0.1:4001");
  EXPECT_EQ(plan["wire"], "f16");
  const auto other = fabric_plan(stages, HeadPlacement::last_worker, WireFormat::f32, "/a.gguf", "/m", "/t");
  EXPECT_EQ(Json::parse(other)["head"], "worker");
  EXPECT_EQ(Json::parse(other)["wire"], "f32");
  EXPECT_EQ(wire_format_from("q8_0"), WireFormat::q8_0);
  EXPECT_FALSE(wire_format_from("f64"));
}

TEST(Fabric, TheStoresLimitIsASize) {
  ::setenv("CARAVAN_STORE_LIMIT", "3GiB", 1);
  const auto limited = fabric_weights();
  ASSERT_TRUE(limited.ok());
  EXPECT_EQ(limited->limit, mebibytes(3072));
  for (const char* wrong : {"much", "5"}) {
    ::setenv("CARAVAN_STORE_LIMIT", wrong, 1);
    EXPECT_EQ(fabric_weights().error().code, Code::invalid) << wrong;
  }
  ::unsetenv("CARAVAN_STORE_LIMIT");
  EXPECT_FALSE(fabric_weights()->limit);
}

TEST(Fabric, EveryKeyIsNew) {
  const auto one = new_fabric_key();
  ASSERT_TRUE(one.ok());
  EXPECT_THAT(*one, MatchesRegex("[0-9a-f]{64}"));
  EXPECT_NE(*one, *new_fabric_key());
}

TEST(Fabric, FilesThatAreNotThereAreNamed) {
  const TemporaryFolder empty = TemporaryFolder::make("fabric").value();
  ::setenv("CARAVAN_FABRIC", empty.path().c_str(), 1);
  const auto none = locate_fabric();
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Code::not_found);
  EXPECT_THAT(none.error().message, HasSubstr("caravan-worker"));
  for (const char* name : {"caravan-worker", "libggml-caravan.so"})
    ASSERT_TRUE(write_file_atomically(empty.path() / name, "x").ok());
  EXPECT_TRUE(locate_fabric().ok());
  ::unsetenv("CARAVAN_FABRIC");
}

TEST_F(FabricWorkerTest, ListensAndItsKeyIsInNoArgument) {
  const auto worker = start("echo \"$*\" \"$CARAVAN_FABRIC_KEY\" > " + (folder_.path() / "seen").string() +
                                "; echo listening 127.0.0.1:4711; exec sleep 60",
                            10s);
  ASSERT_TRUE(worker.ok()) << worker.error().message;
  EXPECT_EQ((*worker)->address().port, 4711);
  EXPECT_GT((*worker)->pid(), 0);
  const auto seen = read_file(folder_.path() / "seen", Bytes{1000});
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(*seen, "--listen 127.0.0.1:0 --threads 2 --store /weights --models /models --store-limit 5 " +
                       (*worker)->key() + "\n");
}

TEST_F(FabricWorkerTest, OneThatEndsOrSaysNothingIsAnError) {
  const auto ended = start("echo 'error: there is no key'; exit 2", 10s);
  ASSERT_FALSE(ended.ok());
  EXPECT_THAT(ended.error().message, HasSubstr("caravan-worker"));
  const auto silent = start("exec sleep 60", 50ms);
  ASSERT_FALSE(silent.ok());
  EXPECT_THAT(silent.error().message, HasSubstr("in time"));
}

}  // namespace
}  // namespace caravan::engine
