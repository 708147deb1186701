#include "doctor/engine_checks.h"

#include <gmock/gmock.h>

#include "base/files.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kNow = 1'800'000'000;

device::WallTime at(std::int64_t seconds) { return device::WallTime(std::chrono::seconds(seconds)); }

std::string recorded_help(const std::string& program) {
  const auto text =
      read_file(fs::path(CARAVAN_SOURCE_DIR) / "src/engine/testdata" / (program + ".txt"), mebibytes(1));
  EXPECT_TRUE(text.ok()) << program;
  return text ? *text : "";
}

/// What llama-server takes: the recording leaves out some flags that a plan may need.
std::string server_help() {
  return recorded_help("llama-server_help") +
         "-ctk,  --cache-type-k TYPE              type of keys\n-ctv,  --cache-type-v TYPE              type "
         "of values\n";
}

EngineState healthy() {
  engine::EngineFacts facts;
  facts.files = {"/opt/engine/llama-server", "/opt/engine/ggml-rpc-server", "--engine"};
  facts.version = "0.5.0-dev (build 1, commit de3ff81)";
  facts.rpc = {7, 0, 0};
  facts.source_id = "de3ff81-rpc7.0.0";
  facts.build_id = "de3ff81-rpc7.0.0-0123456789ab";
  facts.server_flags = engine::EngineFlags::from_help(server_help());
  facts.rpc_flags = engine::EngineFlags::from_help(recorded_help("ggml-rpc-server_help"));
  device::Speed speed;
  speed.engine_build = facts.build_id;
  speed.measured_at = at(kNow - 3600);
  return {facts.files,   facts,
          speed,         {},
          at(kNow),      engine::FabricFiles{"/opt/caravan/caravan-worker", "/opt/caravan/m.so"},
          Result<void>()};
}

EngineState failing(const Error& error) {
  EngineState state = healthy();
  state.facts = error;
  return state;
}

TEST(EngineChecks, AHealthyEngine) {
  const EngineState state = healthy();
  for (const auto check : {engine_found, engine_rpc, engine_starts, engine_flags, engine_version,
                           fabric_found, fabric_fits, speed_measured, speed_current}) {
    EXPECT_EQ(check(state).status, Status::ok) << check(state).found;
  }
}

TEST(EngineChecks, NoEngine) {
  EngineState state = healthy();
  state.files = Error{Code::not_found, "no engine was found; looked in PATH", "`./run build` makes one"};
  state.facts.reset();
  const Finding found = engine_found(state);
  EXPECT_EQ(found.status, Status::problem);
  EXPECT_THAT(found.found, HasSubstr("no engine was found"));
  EXPECT_THAT(found.cure, ElementsAre("`./run build` makes one"));
  for (const auto check : {engine_rpc, engine_starts, engine_flags, engine_version, speed_current}) {
    EXPECT_EQ(check(state).status, Status::skipped) << check(state).found;
  }
}

TEST(EngineChecks, AProgramThatDoesNotStart) {
  const EngineState state =
      failing({Code::incompatible, "llama-server: libggml.so is missing", "rebuild the engine"});
  EXPECT_EQ(engine_found(state).status, Status::ok);
  EXPECT_EQ(engine_starts(state).status, Status::problem);
  EXPECT_THAT(engine_starts(state).found, HasSubstr("libggml.so"));
  EXPECT_THAT(engine_starts(state).cure, ElementsAre("rebuild the engine"));
  EXPECT_EQ(engine_rpc(state).status, Status::skipped);
}

TEST(EngineChecks, WithoutTheFabricOrWithOneOfAnotherBuild) {
  EngineState state = healthy();
  state.fabric = Result<void>(
      Error{Code::incompatible, "caravan-worker and the engine do not fit: no symbol", "./run build"});
  EXPECT_EQ(fabric_found(state).status, Status::ok);
  EXPECT_EQ(fabric_fits(state).status, Status::warning);
  EXPECT_THAT(fabric_fits(state).found, HasSubstr("no symbol"));
  EXPECT_THAT(fabric_fits(state).cure, ElementsAre("./run build"));
  state.fabric_files = Error{Code::not_found, "there is no /opt/caravan/caravan-worker", "run `./run build`"};
  EXPECT_EQ(fabric_found(state).status, Status::warning);
  EXPECT_THAT(fabric_found(state).cure, ElementsAre("run `./run build`"));
  EXPECT_EQ(fabric_fits(state).status, Status::skipped);
}

TEST(EngineChecks, AnOlderEngine) {
  EngineState state = healthy();
  state.facts->value().rpc = {3, 6, 0};
  EXPECT_EQ(engine_version(state).status, Status::warning);
  EXPECT_THAT(engine_version(state).found, HasSubstr("3.6.0"));
}

TEST(EngineChecks, FlagsThatAreMissing) {
  EngineState state = healthy();
  const std::string help = server_help();
  const auto without = [&](const std::string& flag) {
    std::string text = help;
    for (std::size_t at = text.find(flag); at != std::string::npos; at = text.find(flag))
      text.replace(at, flag.size(), "--gone");
    state.facts->value().server_flags = engine::EngineFlags::from_help(text);
    return engine_flags(state);
  };
  const Finding needed = without("--tensor-split");
  EXPECT_EQ(needed.status, Status::problem);
  EXPECT_THAT(needed.found, HasSubstr("--tensor-split"));
  EXPECT_THAT(needed.cure, ElementsAre("./run build"));
  const Finding wished = without("--fit");
  EXPECT_EQ(wished.status, Status::warning);
  EXPECT_THAT(wished.found, HasSubstr("--fit (the engine may change the plan)"));
  state.facts->value().rpc_flags = {};
  EXPECT_EQ(without("--nothing-of-that-name").status, Status::problem);
}

TEST(EngineChecks, SpeedThatIsMissingBrokenOrOld) {
  EngineState state = healthy();
  state.speed->engine_build = "another";
  EXPECT_EQ(speed_current(state).status, Status::warning);
  EXPECT_THAT(speed_current(state).found, HasSubstr("measured with engine another"));
  EXPECT_THAT(speed_current(state).cure, ElementsAre("caravan calibrate"));
  state = healthy();
  state.now = at(kNow + std::int64_t{86400} * 100);
  EXPECT_THAT(speed_current(state).found, HasSubstr("100 days old"));
  state = healthy();
  state.speed->usable_cpus = 4;
  state.limits.usable_cpus = 2;
  EXPECT_EQ(speed_current(state).status, Status::warning);
  EXPECT_THAT(speed_current(state).found, HasSubstr("4 cores could be used, now there are 2"));
  state.speed = Error{Code::invalid, "speed.json: not JSON", ""};
  EXPECT_EQ(speed_measured(state).status, Status::warning);
  EXPECT_THAT(speed_measured(state).found, HasSubstr("not JSON"));
  state.speed = Error{Code::not_found, "", ""};
  EXPECT_THAT(speed_measured(state).found, HasSubstr("never measured"));
  EXPECT_EQ(speed_current(state).status, Status::skipped);
}

/// Real programs, of a folder of our own.
class EngineReader : public ::testing::Test {
 protected:
  void program(const std::string& name, const std::string& script) {
    const std::string shell = fs::exists("/bin/sh") ? "/bin/sh" : "/system/bin/sh";
    ASSERT_TRUE(write_file_atomically(folder_->path() / name, "#!" + shell + "\n" + script, 0700).ok());
  }
  EngineState read() {
    return read_engine_state({.option = folder_->path().string()}, folder_->path() / "speed.json");
  }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
};

TEST_F(EngineReader, AFolderWithoutPrograms) {
  const EngineState state = read();
  EXPECT_EQ(engine_found(state).status, Status::problem);
  EXPECT_THAT(engine_found(state).found, HasSubstr("no llama-server"));
  EXPECT_EQ(speed_measured(state).status, Status::warning);
}

TEST_F(EngineReader, AServerWithoutItsRpcServer) {
  program("llama-server", "echo '--port PORT   port'\n");
  const EngineState state = read();
  EXPECT_EQ(engine_found(state).status, Status::ok);
  EXPECT_EQ(engine_rpc(state).status, Status::problem);
  EXPECT_THAT(engine_rpc(state).cure, Contains(HasSubstr("-DGGML_RPC=ON")));
}

TEST_F(EngineReader, AServerThatWasBuiltWithoutRpc) {
  program("llama-server", "echo '--port PORT                  port to listen on'\n");
  program("ggml-rpc-server", "exit 0\n");
  const EngineState state = read();
  ASSERT_TRUE(state.facts);
  EXPECT_EQ(engine_rpc(state).status, Status::problem);
  EXPECT_EQ(engine_starts(state).status, Status::skipped);
}

TEST_F(EngineReader, AnIncompleteBuild) {
  program("llama-server",
          "echo \"$0: error while loading shared libraries: libllama.so: cannot open shared object file: No "
          "such file or directory\" >&2\nexit 127\n");
  program("ggml-rpc-server", "exit 0\n");
  const EngineState state = read();
  EXPECT_EQ(engine_starts(state).status, Status::problem);
  EXPECT_THAT(engine_starts(state).found, HasSubstr("libllama.so"));
}

}  // namespace
}  // namespace caravan::doctor
