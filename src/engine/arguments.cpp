#include "engine/arguments.h"

#include <numeric>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::engine {
namespace {

constexpr int kFirstRpcPort = 50051;

/// Tensors that keep the output head on the master. Patterns are searched for in tensor names. With tied
/// embeddings the head is "token_embd.weight", without "output.weight", in some models with "output.bias"
/// beside it; the dot spares "output_norm", which belongs to the last layer.
constexpr std::string_view kHeadOnMaster = R"(^output\.=CPU,^token_embd\.=CPU)";

/// Collects arguments, keeping to the flags that a program takes.
class Arguments {
 public:
  explicit Arguments(const EngineFlags& flags) : flags_(flags) {}

  /// The first of `names` that is known. Without any it is an error: the program cannot be used without it.
  void need(std::initializer_list<std::string_view> names, std::string value) {
    const std::string flag = flags_.first_of(names);
    if (flag.empty() && missing_.empty()) missing_ = std::string(*names.begin());
    list_.push_back(flag);
    list_.push_back(std::move(value));
  }
  void use_if_known(std::string_view flag) {
    if (flags_.has(flag)) list_.emplace_back(flag);
  }
  void use_if_known(std::string_view flag, std::string value) {
    if (!flags_.takes_value(flag)) return;
    list_.emplace_back(flag);
    list_.push_back(std::move(value));
  }

  Result<std::vector<std::string>> take(std::string_view program) && {
    if (missing_.empty()) return std::move(list_);
    if (missing_ == "--rpc") {
      return Error{Code::incompatible, fmt::format("{} was built without RPC", program),
                   "rebuild it with -DGGML_RPC=ON, or run `./run build`"};
    }
    return Error{Code::incompatible, fmt::format("{} does not take {}", program, missing_),
                 "use the engine that `./run build` makes"};
  }

 private:
  const EngineFlags& flags_;
  std::vector<std::string> list_;
  std::string missing_;
};

void add_split(Arguments& arguments, const MasterArguments& wanted, RpcDeviceNames names) {
  if (wanted.workers.empty()) {
    arguments.use_if_known("--device", "none");
    arguments.need({"--gpu-layers", "--n-gpu-layers"}, "0");
    return;
  }
  std::vector<std::string> devices;
  devices.reserve(wanted.workers.size());
  for (std::size_t i = 0; i < wanted.workers.size(); ++i) {
    devices.push_back(rpc_device_name(wanted.workers[i], i, names));
  }
  // --rpc before --device: the names in the latter exist only once the former has been read.
  arguments.need({"--rpc"}, build_rpc_address_list(wanted.workers));
  arguments.use_if_known("--device", join(devices, ","));
  arguments.use_if_known("--split-mode", "layer");
  arguments.need({"--tensor-split"}, build_tensor_split_string(wanted.layers));
  arguments.need({"--gpu-layers", "--n-gpu-layers"}, fmt::format("{}", gpu_layers(wanted.layers)));
  if (wanted.head == HeadPlacement::master) arguments.need({"--override-tensor"}, std::string(kHeadOnMaster));
}

/// One value a stage, the output layer with the last; where the head is computed is the module's business.
void add_stages(Arguments& arguments, const MasterArguments& wanted) {
  std::vector<std::string> devices;
  std::vector<std::string> shares;
  int total = 0;
  for (std::size_t rank = 0; rank < wanted.layers.size(); ++rank) {
    const int layers = wanted.layers[rank];
    if (rank == 0 && layers == 0) continue;
    const int output_layer = rank + 1 == wanted.layers.size() ? 1 : 0;
    devices.push_back(fabric_device_name(devices.size()));
    shares.push_back(fmt::format("{}", layers + output_layer));
    total += layers;
  }
  arguments.need({"--device"}, join(devices, ","));
  arguments.use_if_known("--split-mode", "layer");
  arguments.need({"--tensor-split"}, join(shares, ","));
  arguments.need({"--gpu-layers", "--n-gpu-layers"}, fmt::format("{}", total + 1));
  // What a request asks for that only the master can do (a grammar) switches this off for that request.
  if (wanted.head == HeadPlacement::last_worker) arguments.use_if_known("--backend-sampling");
}

void add_memory(Arguments& arguments, const MasterArguments& wanted, const EngineFlags& flags) {
  // The engine takes the sum over all sequences.
  arguments.need({"--ctx-size"}, fmt::format("{}", wanted.context * wanted.parallel));
  arguments.need({"--parallel"}, fmt::format("{}", wanted.parallel));
  if (wanted.batch > 0) arguments.need({"--batch-size"}, fmt::format("{}", wanted.batch));
  if (wanted.ubatch > 0) arguments.need({"--ubatch-size"}, fmt::format("{}", wanted.ubatch));
  if (!wanted.kv_type.empty()) {
    arguments.need({"--cache-type-k"}, wanted.kv_type);
    arguments.need({"--cache-type-v"}, wanted.kv_type);
  }
  arguments.use_if_known("--fit", "off");  // it would change the plan
  arguments.use_if_known("--cache-ram", fmt::format("{}", wanted.cache_ram));
  if (wanted.cache_ram == 0) arguments.use_if_known("--no-cache-idle-slots");
  // Mapped, the master would hold the pages of layers that it sends away, and could not repack its own. With
  // the fabric its own are at its worker, and what others have need not even be read: the place tells what it
  // is.
  if (flags.takes_value("--load-mode")) {
    arguments.use_if_known("--load-mode", wanted.fabric ? "mmap" : "none");
  } else if (!wanted.fabric) {
    arguments.use_if_known("--no-mmap");
  }
  if (flags.takes_value("--flash-attn")) {
    // A quantized V cache exists only with flash attention.
    arguments.use_if_known("--flash-attn", wanted.kv_type.empty() ? "auto" : "on");
  } else {
    arguments.use_if_known("--flash-attn");
  }
}

void add_guesses(Arguments& arguments, const MasterArguments::Guesses& guesses, const EngineFlags& flags) {
  // An engine without them answers the same, slower.
  if (guesses.draft < 1 || !flags.takes_value("--spec-ngram-simple-size-m")) return;
  arguments.use_if_known("--spec-type", "ngram-simple");
  arguments.use_if_known("--spec-ngram-simple-size-n", fmt::format("{}", guesses.lookup));
  arguments.use_if_known("--spec-ngram-simple-size-m", fmt::format("{}", guesses.draft));
}

void add_server(Arguments& arguments, const MasterArguments& wanted, const EngineFlags& flags) {
  arguments.need({"--host"}, wanted.host);
  arguments.need({"--port"}, fmt::format("{}", wanted.port));
  if (!wanted.alias.empty()) arguments.use_if_known("--alias", wanted.alias);
  arguments.use_if_known("--offline");
  arguments.use_if_known("--metrics");   // how fast it answers, whoever asks
  arguments.use_if_known("--no-slots");  // shows one person's prompt to another
  arguments.use_if_known("--cors-origins", "localhost");
  arguments.use_if_known("--jinja");
  const std::string no_page = flags.first_of({"--no-ui", "--no-webui"});
  if (!no_page.empty()) arguments.use_if_known(no_page);
  arguments.use_if_known("--log-prefix");
  arguments.use_if_known("--log-timestamps");
  arguments.use_if_known("--log-verbosity", fmt::format("{}", wanted.verbosity));
}

}  // namespace

int assign_rpc_port(int rank) { return rank == 0 ? 0 : kFirstRpcPort + rank; }

std::string fabric_device_name(std::size_t stage) { return fmt::format("Caravan{}", stage); }

int rank_of_stage(std::size_t stage, const std::vector<int>& layer_counts) {
  return static_cast<int>(stage) + (layer_counts.empty() || layer_counts.front() > 0 ? 0 : 1);
}

std::string rpc_device_name(const TcpAddress& worker, std::size_t index, RpcDeviceNames names) {
  if (names == RpcDeviceNames::by_number) return fmt::format("RPC{}", index);
  return fmt::format("RPC[{}]", to_string(HttpAddress(worker)));
}

std::string build_rpc_address_list(const std::vector<TcpAddress>& workers) {
  std::vector<std::string> addresses;
  addresses.reserve(workers.size());
  for (const TcpAddress& worker : workers) addresses.push_back(to_string(HttpAddress(worker)));
  return join(addresses, ",");
}

std::string build_tensor_split_string(const std::vector<int>& layer_counts) {
  std::vector<std::string> shares;
  for (std::size_t rank = 1; rank < layer_counts.size(); ++rank) {
    const int output_layer = rank + 1 == layer_counts.size() ? 1 : 0;
    shares.push_back(fmt::format("{}", layer_counts[rank] + output_layer));
  }
  return join(shares, ",");
}

int gpu_layers(const std::vector<int>& layer_counts) {
  if (layer_counts.size() < 2) return 0;
  return std::accumulate(layer_counts.begin() + 1, layer_counts.end(), 0) + 1;
}

Result<void> check_layer_counts(const std::vector<int>& layer_counts, std::size_t workers) {
  constexpr std::string_view kHint = "this is a defect of the planner";
  if (workers > kMaxWorkers) {
    return Error{Code::invalid, fmt::format("{} workers, the engine takes {} at most", workers, kMaxWorkers),
                 "use fewer devices"};
  }
  if (layer_counts.size() != workers + 1) {
    return Error{Code::invalid,
                 fmt::format("{} layer counts for a master and {} workers", layer_counts.size(), workers),
                 std::string(kHint)};
  }
  for (std::size_t rank = 0; rank < layer_counts.size(); ++rank) {
    const int least = rank == 0 && workers > 0 ? 0 : 1;
    if (layer_counts[rank] < least) {
      return Error{Code::invalid, fmt::format("rank {} has {} layers", rank, layer_counts[rank]),
                   std::string(kHint)};
    }
  }
  return {};
}

Result<std::vector<std::string>> worker_arguments(const WorkerArguments& wanted, const EngineFlags& flags) {
  Arguments arguments(flags);
  arguments.need({"--host"}, wanted.host);
  arguments.need({"--port"}, fmt::format("{}", wanted.port));
  arguments.use_if_known("--threads", fmt::format("{}", wanted.threads));
  if (!wanted.device.empty()) arguments.use_if_known("--device", wanted.device);
  return std::move(arguments).take("the RPC server");
}

Result<std::vector<std::string>> master_arguments(const MasterArguments& wanted, const EngineFlags& flags,
                                                  RpcDeviceNames names) {
  const Result<void> checked = check_layer_counts(wanted.layers, wanted.workers.size());
  if (!checked) return checked.error();
  Arguments arguments(flags);
  arguments.need({"--model"}, wanted.model.string());
  add_server(arguments, wanted, flags);
  arguments.need({"--threads"}, fmt::format("{}", wanted.threads));
  add_memory(arguments, wanted, flags);
  add_guesses(arguments, wanted.guesses, flags);
  if (wanted.fabric) {
    add_stages(arguments, wanted);
  } else {
    add_split(arguments, wanted, names);
  }
  return std::move(arguments).take("llama-server");
}

}  // namespace caravan::engine
