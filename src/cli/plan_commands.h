// What starts a proposal by hand: the exact command lines of its programs. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/arguments.h"
#include "plan/planner.h"

namespace caravan::cli {

/// One engine program of a replica, ready to be pasted into a shell on its device.
struct CommandLine {
  std::string device;
  std::vector<std::string> arguments;                            ///< the program's name first
  std::vector<std::pair<std::string, std::string>> environment;  ///< name and value
  std::string file;   ///< that it reads there, mode 0600; empty: none
  Json file_content;  ///< with kKeyPlace where the key belongs

  std::string text() const;  ///< quoted for a shell
};

/// Stands for the 64 hexadecimal digits in plan.key.
inline constexpr const char* kKeyPlace = "KEY";

/// Which flags the engine's programs take.
struct PlanEngine {
  engine::EngineFlags server;
  engine::EngineFlags rpc;
  engine::RpcDeviceNames names = engine::RpcDeviceNames::by_number;
};

/// Of all replicas, workers before their master. `model_path`: the GGUF on the master. Workers are reached by
/// their device's name, at the guide's ports; neither the RPC server nor the fabric encrypts anything, which
/// is why Caravan itself only runs them behind tunnels.
Result<std::vector<CommandLine>> command_lines(const plan::Proposal& proposal, const std::string& model_path,
                                               const PlanEngine& engine);

}  // namespace caravan::cli
