// The fast data path's files and plan: a ggml backend module that llama-server loads, and the worker program
// that it talks to. docs/fabric-protocol.md has what they say to each other.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "engine/arguments.h"

namespace caravan::engine {

struct FabricFiles {
  fs::path worker;  ///< the program caravan-worker
  fs::path module;  ///< libggml-caravan.so
};

/// In $CARAVAN_FABRIC, or beside the program that runs. Code::not_found when one of the two is not there.
/// They fit the engine that `./run build` makes, and say so themselves when it is another.
Result<FabricFiles> locate_fabric();

/// How hidden states travel from worker to worker.
enum class WireFormat { f32, f16, q8_0 };
std::string_view name_of(WireFormat format);
std::optional<WireFormat> wire_format_from(std::string_view name);

/// Tokens: the best of those tried for prompts of 200 to 800 tokens over Wi-Fi.
inline constexpr int kFabricMicroBatch = 64;

struct FabricStage {
  std::string name;    ///< of the device, for messages
  TcpAddress address;  ///< of its worker, as the master's device sees it
  std::string peer;    ///< "host:port" of it as the previous stage's device sees it; empty: none
  std::string key;     ///< 64 hexadecimal digits
  int threads = 1;
};

/// Where weights come from, on this device.
struct FabricWeights {
  fs::path models;             ///< the folder of this device's own models
  fs::path store;              ///< folder for weights that were sent to this device
  std::optional<Bytes> limit;  ///< of the store; nothing: a quarter of the room
  fs::path manifests() const { return store / "manifests"; }  ///< hashes of models
};

/// In Caravan's home. The store's limit is $CARAVAN_STORE_LIMIT ("8 GiB"); Code::invalid when it is no size.
Result<FabricWeights> fabric_weights();

/// What the module reads. `model` and `manifests`: of the weights that go by reference. `trace`: the folder
/// where traces are asked for. Holds keys: only for a file that nobody else can read.
std::string fabric_plan(const std::vector<FabricStage>& stages, HeadPlacement head, WireFormat wire,
                        const fs::path& model, const fs::path& manifests, const fs::path& trace);

/// 32 random bytes, in hexadecimal.
Result<std::string> new_fabric_key();

}  // namespace caravan::engine
