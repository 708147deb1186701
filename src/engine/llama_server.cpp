#include "engine/llama_server.h"

#include <algorithm>
#include <map>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "engine/child.h"
#include "engine/http_client.h"

namespace caravan::engine {

namespace {

using namespace asio::experimental::awaitable_operators;
constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kHealthPatience{2000};
constexpr std::chrono::milliseconds kBetweenHealthChecks{100};
constexpr std::size_t kMaxHealthBytes = std::size_t{64} << 10U;

}  // namespace

struct LlamaServer::State {
  MasterArguments arguments;
  RpcDeviceNames names = RpcDeviceNames::by_number;
  OnProgress on_progress;
  std::shared_ptr<EngineChild> child;
  std::optional<TcpAddress> address;
  std::optional<Error> fabric_failure;
  std::map<int, std::string> layers;  ///< layer to device, as in the log
  std::vector<BufferSize> buffers;

  void take(const EngineEvent& event);
  void take(const Listening& event);
  std::optional<int> rank_in_fabric(const std::string& device) const;
  int rank_of_device(const std::string& device) const;
  int rank_of_buffer(const std::string& device) const;
  asio::awaitable<bool> answers() const;
};

void LlamaServer::State::take(const EngineEvent& event) {
  if (const auto* layer = std::get_if<LayerAssigned>(&event)) layers[layer->layer] = layer->device;
  if (const auto* buffer = std::get_if<BufferSize>(&event)) buffers.push_back(*buffer);
  if (const auto* listening = std::get_if<Listening>(&event)) take(*listening);
  if (const auto* failed = std::get_if<FabricFailed>(&event)) {
    if (!fabric_failure)
      fabric_failure = Error{Code::disconnected, failed->text, "see on that device why its worker ended"};
    child->changed().notify();
  }
  if (const auto* step = std::get_if<LoadStep>(&event)) {
    child->enter(RunPhase::loading);
    if (on_progress) on_progress(*step);
  }
}

void LlamaServer::State::take(const Listening& event) {
  // Older builds say this before they load the model; only ready() finds out.
  if (event.host != arguments.host) return;
  address = TcpAddress{event.host, event.port};
  child->changed().notify();
}

/// "Caravan1", also before "[...]".
std::optional<int> LlamaServer::State::rank_in_fabric(const std::string& device) const {
  if (!arguments.fabric) return std::nullopt;
  for (std::size_t stage = 0; stage < arguments.layers.size(); ++stage) {
    if (device.substr(0, device.find('[')) == fabric_device_name(stage))
      return rank_of_stage(stage, arguments.layers);
  }
  return 0;
}

/// "RPC1" or "RPC[127.0.0.1:50053]" is a worker; all else is on the master.
int LlamaServer::State::rank_of_device(const std::string& device) const {
  if (const auto rank = rank_in_fabric(device)) return *rank;
  for (std::size_t i = 0; i < arguments.workers.size(); ++i) {
    if (device == rpc_device_name(arguments.workers[i], i, names)) return static_cast<int>(i) + 1;
  }
  return 0;
}

/// "RPC0[127.0.0.1:50053]" or "RPC[127.0.0.1:50053]".
int LlamaServer::State::rank_of_buffer(const std::string& device) const {
  if (const auto rank = rank_in_fabric(device)) return *rank;
  for (std::size_t i = 0; i < arguments.workers.size(); ++i) {
    const std::string address_part = fmt::format("[{}]", to_string(HttpAddress(arguments.workers[i])));
    if (device.rfind("RPC", 0) == 0 && device.find(address_part) != std::string::npos)
      return static_cast<int>(i) + 1;
  }
  return 0;
}

asio::awaitable<bool> LlamaServer::State::answers() const {
  HttpRequest request;
  request.target = "/health";
  const auto reply = co_await http_call(*address, std::move(request), kHealthPatience, kMaxHealthBytes);
  co_return reply.ok() && reply->status == 200;
}

Result<std::unique_ptr<LlamaServer>> LlamaServer::start(asio::any_io_executor executor,
                                                        const EngineFacts& engine,
                                                        const MasterArguments& arguments, const fs::path& log,
                                                        OnProgress on_progress) {
  const auto list = master_arguments(arguments, engine.server_flags, engine.rpc_device_names);
  if (!list) return list.error();
  SpawnSpec process;
  process.program = engine.files.llama_server;
  process.arguments = *list;
  process.environment = engine_environment(engine.files);
  if (arguments.fabric) {
    process.environment["GGML_BACKEND_PATH"] = arguments.fabric->module.string();
    process.environment["CARAVAN_FABRIC_PLAN"] = arguments.fabric->plan.string();
  }

  auto state = std::make_shared<State>();
  state->arguments = arguments;
  state->names = engine.rpc_device_names;
  state->on_progress = std::move(on_progress);
  auto child = EngineChild::start(executor, Program::llama_server, process, log,
                                  [&self = *state](const EngineEvent& event) { self.take(event); });
  if (!child) return child.error();
  state->child = *child;
  return std::unique_ptr<LlamaServer>(new LlamaServer(std::move(state)));
}

LlamaServer::LlamaServer(std::shared_ptr<State> state) : state_(std::move(state)) {}
LlamaServer::~LlamaServer() { state_->child->end(); }

asio::awaitable<Result<TcpAddress>> LlamaServer::ready() {
  const auto state = state_;  // this may be gone before the end
  EngineChild& child = *state->child;
  while (!child.report() && !state->address) co_await child.changed().past(child.changed().count());
  asio::steady_timer pause(child.changed().executor());
  while (!child.report()) {
    if (co_await state->answers()) {
      child.enter(RunPhase::serving);
      co_return *state->address;
    }
    pause.expires_after(kBetweenHealthChecks);
    co_await (child.exited() || pause.async_wait(kUseResult));
  }
  co_return child.report()->error;
}

pid_t LlamaServer::pid() const { return state_->child->pid(); }

std::vector<ObservedRank> LlamaServer::observed() const {
  std::vector<ObservedRank> ranks(state_->arguments.layers.size());
  int total = 0;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    ranks[rank].rank = static_cast<int>(rank);
    total += state_->arguments.layers[rank];
  }
  for (const auto& [layer, device] : state_->layers) {
    if (layer < total)
      ranks[static_cast<std::size_t>(state_->rank_of_device(device))].layers.push_back(layer);
  }
  for (const BufferSize& buffer : state_->buffers) {
    ObservedRank& rank = ranks[static_cast<std::size_t>(state_->rank_of_buffer(buffer.device))];
    if (buffer.kind == BufferSize::Kind::model) rank.weights += buffer.bytes;
    if (buffer.kind == BufferSize::Kind::kv) rank.kv_cache += buffer.bytes;
    if (buffer.kind == BufferSize::Kind::compute || buffer.kind == BufferSize::Kind::output)
      rank.compute += buffer.bytes;
  }
  return ranks;
}

asio::awaitable<Error> LlamaServer::fabric_failed() {
  const auto state = state_;
  while (!state->fabric_failure) co_await state->child->changed().past(state->child->changed().count());
  co_return *state->fabric_failure;
}

asio::awaitable<ExitReport> LlamaServer::exited() { return state_->child->exited(); }
asio::awaitable<void> LlamaServer::stop(std::chrono::milliseconds grace) {
  return state_->child->stop(grace);
}

}  // namespace caravan::engine
