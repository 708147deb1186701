// A proposal of the planner, for people and for programs. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/plan_commands.h"
#include "plan/planner.h"

namespace caravan::cli {

std::string plan_text(const std::string& model, const plan::Proposal& proposal,
                      const std::vector<CommandLine>& commands, bool explain);
Json plan_json(const std::string& model, const plan::Proposal& proposal,
               const std::vector<CommandLine>& commands);

}  // namespace caravan::cli
