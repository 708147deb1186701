// A proposal of the planner, for people and for programs. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/arguments.h"
#include "plan/planner.h"

namespace caravan::cli {

/// One engine program of a replica, ready to be pasted into a shell on its device.
struct CommandLine {
  std::string device;
  std::vector<std::string> arguments;  ///< the program's name first

  std::string text() const;  ///< quoted for a shell
};

/// Which flags the engine's programs take.
struct PlanEngine {
  engine::EngineFlags server;
  engine::EngineFlags rpc;
  engine::RpcDeviceNames names = engine::RpcDeviceNames::by_number;
};

/// Of all replicas, workers before their master. `model_path`: the GGUF on the master. Workers are reached by
/// their device's name, at the guide's ports; the RPC server has no protection, which is why Caravan itself
/// only runs it behind tunnels.
Result<std::vector<CommandLine>> command_lines(const plan::Proposal& proposal, const std::string& model_path,
                                               const PlanEngine& engine);

std::string plan_text(const std::string& model, const plan::Proposal& proposal,
                      const std::vector<CommandLine>& commands, bool explain);
Json plan_json(const std::string& model, const plan::Proposal& proposal,
               const std::vector<CommandLine>& commands);

}  // namespace caravan::cli
