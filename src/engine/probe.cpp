#include "engine/probe.h"

#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "engine/capture.h"
#include "engine/exit.h"
#include "engine/fingerprint.h"
#include "engine/probe_text.h"
#include "engine/rpc_server.h"

namespace caravan::engine {
namespace {

constexpr std::chrono::milliseconds kPatience{20'000};
constexpr std::chrono::milliseconds kStopGrace{1000};

asio::awaitable<Result<Captured>> ask(asio::any_io_executor executor, EngineFiles files, fs::path program,
                                      std::vector<std::string> arguments) {
  SpawnSpec spec;
  spec.program = std::move(program);
  spec.arguments = std::move(arguments);
  spec.environment = engine_environment(files);
  co_return co_await capture(executor, std::move(spec), kPatience);
}

/// The flags of a program, or why it cannot be run.
asio::awaitable<Result<EngineFlags>> ask_flags(asio::any_io_executor executor, EngineFiles files,
                                               Program program) {
  const fs::path path = program == Program::llama_server ? files.llama_server : files.rpc_server;
  std::vector<std::string> question{"--help"};
  const auto help = co_await ask(executor, files, path, std::move(question));
  if (!help.ok()) co_return help.error();
  EngineFlags flags = EngineFlags::from_help(help->text);
  if (flags.has("--port")) co_return flags;
  const ExitReport report = classify(program, help->status, help->output, false, RunPhase::starting);
  if (report.cause != ExitCause::exited) co_return with_context(report.error, for_people(path));
  co_return Error{Code::incompatible, fmt::format("{} is no program of llama.cpp", for_people(path)),
                  "name the folder that holds llama-server and ggml-rpc-server"};
}

/// Starts the RPC server, says hello, and lets llama-server list it among its devices.
asio::awaitable<Result<void>> ask_rpc(asio::any_io_executor executor, EngineFacts& facts) {
  RpcServerSpec spec;
  spec.files = facts.files;
  spec.flags = facts.rpc_flags;
  spec.rank = 0;  // whatever port is free: those of the ranks may be in use
  const auto server = co_await RpcServer::start(executor, spec, kPatience);
  if (!server.ok()) co_return server.error();
  RpcServer& running = **server;
  facts.rpc = running.version();
  std::vector<std::string> question{"--rpc", to_string(HttpAddress(running.address())), "--list-devices"};
  const auto listed = co_await ask(executor, facts.files, facts.files.llama_server, std::move(question));
  co_await running.stop(kStopGrace);
  if (!listed.ok()) co_return listed.error();
  for (const std::string& device : parse_devices(listed->text)) {
    if (device.rfind("RPC[", 0) == 0) facts.rpc_device_names = RpcDeviceNames::by_address;
    if (device.rfind("RPC", 0) != 0) facts.devices.push_back(device);
  }
  if (listed->status == ExitStatus{}) co_return Result<void>();
  co_return classify(Program::llama_server, listed->status, listed->output, false, RunPhase::starting).error;
}

/// It tells what its processor code was built for only on its way to a model, so it is given one that is not
/// there.
asio::awaitable<std::vector<std::string>> ask_features(asio::any_io_executor executor,
                                                       const EngineFacts& facts) {
  std::vector<std::string> arguments{"--model", "/nonexistent/model.gguf", "--host", "127.0.0.1", "--port",
                                     "0"};
  if (facts.server_flags.has("--log-verbosity")) arguments.insert(arguments.end(), {"--log-verbosity", "4"});
  if (facts.server_flags.has("--offline")) arguments.emplace_back("--offline");
  const auto said = co_await ask(executor, facts.files, facts.files.llama_server, std::move(arguments));
  co_return said.ok() ? parse_features(said->text) : std::vector<std::string>{};
}

/// Wrapped, since co_spawn needs a value that can be made from nothing.
asio::awaitable<std::optional<Result<std::string>>> hash(EngineFiles files) {
  co_return engine_fingerprint(files);
}

}  // namespace

asio::awaitable<Result<EngineFacts>> probe_engine(asio::any_io_executor executor,
                                                  asio::any_io_executor background, EngineFiles files) {
  EngineFacts facts;
  facts.files = files;
  auto server_flags = co_await ask_flags(executor, files, Program::llama_server);
  if (!server_flags.ok()) co_return server_flags.error();
  facts.server_flags = std::move(*server_flags);
  if (!facts.server_flags.has("--rpc")) {
    co_return Error{Code::incompatible,
                    fmt::format("{} was built without RPC", for_people(files.llama_server)),
                    "rebuild it with -DGGML_RPC=ON, or run `./run build`"};
  }
  auto rpc_flags = co_await ask_flags(executor, files, Program::rpc_server);
  if (!rpc_flags.ok()) co_return rpc_flags.error();
  facts.rpc_flags = std::move(*rpc_flags);

  std::vector<std::string> question{"--version"};
  const auto version = co_await ask(executor, files, files.llama_server, std::move(question));
  if (!version.ok()) co_return version.error();
  const EngineVersion parsed = parse_version(version->text);
  facts.version = parsed.text;
  facts.commit = parsed.commit;
  facts.compiler = parsed.compiler;

  const Result<void> spoken = co_await ask_rpc(executor, facts);
  if (!spoken.ok()) co_return spoken.error();
  facts.features = co_await ask_features(executor, facts);
  const auto digest = co_await asio::co_spawn(background, hash(files), asio::use_awaitable);
  if (!digest->ok()) co_return digest->error();
  facts.source_id =
      fmt::format("{}-rpc{}", facts.commit.empty() ? facts.version : facts.commit, to_string(facts.rpc));
  facts.build_id = fmt::format("{}-{}", facts.source_id, digest->value());
  co_return facts;
}

asio::awaitable<Result<EngineFacts>> find_engine(asio::any_io_executor executor,
                                                 asio::any_io_executor background, EnginePlaces places) {
  auto files = locate_engine(places);
  if (!files) co_return files.error();
  co_return co_await probe_engine(executor, background, std::move(*files));
}

}  // namespace caravan::engine
