#include "engine/fabric_probe.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "engine/capture.h"
#include "engine/fabric_worker.h"

namespace caravan::engine {
namespace {

constexpr std::chrono::seconds kWorkerStart{5};
constexpr std::chrono::seconds kListing{5};
constexpr std::chrono::milliseconds kGrace{500};
constexpr std::size_t kMostSaid = 200;

/// The module's own line, or ggml's about it, or the last one.
std::string telling_line(const std::string& text) {
  std::string telling;
  for (const std::string& line : split(text, '\n')) {
    const std::string_view trimmed = trim(line);
    const std::size_t loader = trimmed.find("load_backend:");
    if (trimmed.starts_with("caravan:")) return std::string(trimmed.substr(0, kMostSaid));
    if (loader != std::string_view::npos) return std::string(trimmed.substr(loader).substr(0, kMostSaid));
    if (!trimmed.empty()) telling = trimmed.substr(0, kMostSaid);
  }
  return telling;
}

Error another_build(const std::string& said) {
  return {Code::incompatible, fmt::format("caravan-worker and the engine do not fit: {}", printable(said)),
          "run `./run build` on this device: it makes both"};
}

}  // namespace

asio::awaitable<Result<void>> probe_fabric(asio::any_io_executor executor, EngineFiles engine,
                                           FabricFiles files) {
  auto folder = TemporaryFolder::make("caravan-fabric");
  if (!folder) co_return folder.error();
  FabricWorkerSpec spec;
  spec.files = files;
  spec.engine = engine;
  spec.weights = FabricWeights{folder->path() / "models", folder->path() / "weights", std::nullopt};
  auto worker = co_await FabricWorker::start(executor, std::move(spec), kWorkerStart);
  if (!worker) co_return another_build(worker.error().message);
  FabricStage stage;
  stage.name = "this device";
  stage.address = (*worker)->address();
  stage.key = (*worker)->key();
  const fs::path plan = folder->path() / "plan.json";
  const std::string text = fabric_plan({stage}, HeadPlacement::master, WireFormat::f32, {}, {}, {});
  auto written = write_file_atomically(plan, text);
  if (!written) co_return written.error();
  SpawnSpec listing;
  listing.program = engine.llama_server;
  listing.arguments = {"--list-devices"};
  listing.environment = engine_environment(engine);
  listing.environment["GGML_BACKEND_PATH"] = files.module.string();
  listing.environment["CARAVAN_FABRIC_PLAN"] = plan.string();
  const auto listed = co_await capture(executor, std::move(listing), kListing);
  co_await (*worker)->stop(kGrace);
  if (!listed) co_return listed.error();
  if (listed->text.find(fabric_device_name(0) + ":") != std::string::npos) co_return Result<void>();
  co_return another_build(telling_line(listed->text));
}

}  // namespace caravan::engine
