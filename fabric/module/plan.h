// The plan that the node writes for the module: one JSON file that only its user may read, since it holds the
// keys. docs/fabric-plan.md describes every field. Reading blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fabric/wire/messages.h"

namespace caravan::fabric {

/// One worker, and what the module has to know of it.
struct Stage {
  std::string name;     ///< of the device, for messages: printable, at most kMaxName bytes
  std::string address;  ///< numeric "host:port": the master's local end of the tunnel to it
  std::string peer;     ///< numeric "host:port" where the previous stage reaches it for hand-offs, as that
                        ///< stage's device sees it; empty: data between the two crosses the master
  std::vector<std::string> peers;  ///< as `peer`: where this stage reaches each stage, as its device sees it;
                                   ///< empty where it does not. Without any: the `peer`s alone
  Key key = {};                    ///< proof of belonging to this plan
  unsigned threads = 0;            ///< for its computing; 0 leaves it to the worker
};

enum class HeadPlace { master, worker };

struct Plan {
  std::vector<Stage> stages;  ///< 1 to kMaxPlanStages, in the order of the layers
  HeadPlace head = HeadPlace::master;
  Format wire = Format::as_is;  ///< how hidden states travel from worker to worker
  /// The GGUF file that llama-server loads: its weights go by reference. Empty: all are sent.
  std::filesystem::path model;
  std::filesystem::path manifests;  ///< folder where the hashes of models are kept; needed with a model
  std::chrono::milliseconds timeout{8000};  ///< a worker that is silent for so long has failed

  /// Where the worker of `from` reaches that of `to`; empty when it does not.
  const std::string& way(std::size_t from, std::size_t to) const;
  /// Each stage reaches every other.
  bool all_reach_all() const;
};

inline constexpr std::size_t kMaxPlanStages =
    15;  // the scheduler of ggml takes 16 backends, and the CPU is one

/// Unknown fields are ignored; the first wrong one is named in the error.
Result<Plan> parse_plan(std::string_view text);
/// Code::invalid too when others may read the file.
Result<Plan> read_plan(const std::filesystem::path& file);

}  // namespace caravan::fabric
