// The command lines of the engine's programs, from a plan in whole layers. Pure; adapted to the flags that
// the program at hand takes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "engine/flags.h"
#include "engine/http_address.h"

namespace caravan::engine {

/// llama.cpp's own limit of devices that a model can be split over.
inline constexpr std::size_t kMaxWorkers = 16;

/// The port that a rank's RPC server listens on when it is free: 50051 + rank. 0 for the master, which needs
/// none.
int assign_rpc_port(int rank);

/// For --rpc: "127.0.0.1:50052,127.0.0.1:50053", rank 1 first.
std::string build_rpc_address_list(const std::vector<TcpAddress>& workers);

/// For --tensor-split: one value a worker, none for the master. `layer_counts` has the master's count first.
/// The output layer counts as one more layer of the last worker, even when its weights are kept on the
/// master, so that the engine's cumulative shares cut exactly between whole layers. Empty without workers.
std::string build_tensor_split_string(const std::vector<int>& layer_counts);

/// For --gpu-layers: how many layers leave the master, with the output layer. 0 without workers.
int gpu_layers(const std::vector<int>& layer_counts);

/// Code::invalid unless there is a count for the master (0 or more, more than 0 when it is alone) and one of
/// at least 1 for each worker.
Result<void> check_layer_counts(const std::vector<int>& layer_counts, std::size_t workers);

/// Where the output head (and its logits, 600 KB a token for large vocabularies) is computed.
enum class HeadPlacement { master, last_worker };

/// How --device calls the device behind the n-th address of --rpc.
enum class RpcDeviceNames {
  by_number,   ///< "RPC0", since late 2025
  by_address,  ///< "RPC[127.0.0.1:50052]"
};

std::string rpc_device_name(const TcpAddress& worker, std::size_t index, RpcDeviceNames names);

/// Of the fabric's n-th stage.
std::string fabric_device_name(std::size_t stage);
/// The rank of the fabric's n-th stage: without layers the master is none of them.
int rank_of_stage(std::size_t stage, const std::vector<int>& layer_counts);

struct WorkerArguments {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  int threads = 1;
  /// A worker offers exactly one device, which is what the one share that it gets in the plan means.
  std::string device = "CPU";
};

/// For llama-server with the fabric's module: it makes one device, CaravanN, of each stage.
struct FabricUse {
  fs::path module;
  fs::path plan;  ///< the file with the stages
};

struct MasterArguments {
  fs::path model;
  std::string alias;  ///< the model's name for clients
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: chosen by the system and reported in the log
  std::vector<TcpAddress> workers;
  std::vector<int> layers;  ///< whole layers of each rank, the master's first
  int context = 2048;       ///< tokens for each sequence
  int parallel = 1;         ///< sequences at once
  int threads = 1;
  HeadPlacement head = HeadPlacement::master;
  int batch = 0;        ///< tokens; 0: as the engine has it
  int ubatch = 0;       ///< tokens; 0: as the engine has it
  std::string kv_type;  ///< of keys and values, "q8_0"; empty: as the engine has it, f16
  /// When the last `lookup` tokens have occurred before, `draft` tokens are guessed from what followed.
  struct Guesses {
    int lookup = 0;
    int draft = 0;  ///< 0: none are
  };
  Guesses guesses;
  /// Nothing: llama.cpp's RPC. With it `workers` are not told to llama-server, they are in the plan; the
  /// master's own layers, when it has any, are the first stage.
  std::optional<FabricUse> fabric;
  /// For the engine's own prompt cache, MiB. It would pull the workers' state over the network.
  int cache_ram = 0;
  /// Layer by layer placement is logged with debug messages only.
  int verbosity = 5;
};

/// Code::incompatible when the program cannot do what is asked, e.g. has no --rpc.
Result<std::vector<std::string>> worker_arguments(const WorkerArguments& wanted, const EngineFlags& flags);
Result<std::vector<std::string>> master_arguments(const MasterArguments& wanted, const EngineFlags& flags,
                                                  RpcDeviceNames names);

}  // namespace caravan::engine
