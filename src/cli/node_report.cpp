#include "cli/node_report.h"

#include <cmath>
#include <tuple>

#include <fmt/format.h>

namespace caravan::cli {
namespace {

constexpr double kSteps = 10;

auto what_is_told(const cluster::NodeState& state) {
  const std::string error = state.error ? state.error->message : "";
  const double step = std::isfinite(state.progress) ? std::floor(state.progress * kSteps) : 0;
  return std::make_tuple(state.device, state.api, state.memory, state.role, state.phase, state.model, step,
                         error);
}

std::string percent(double part) { return fmt::format("{:.0f}%", 100 * part); }

std::string activity_of_master(const cluster::NodeState& state) {
  const std::string model = state.model.empty() ? "a model" : state.model;
  switch (state.phase) {
    case cluster::Phase::starting:
      return "starts " + model;
    case cluster::Phase::loading:
      return fmt::format("loads {}: {}", model, percent(state.progress));
    case cluster::Phase::ready:
      return "serves " + model;
    case cluster::Phase::stopping:
      return "stops " + model;
    default:
      return "waits for " + model;
  }
}

}  // namespace

std::string activity_of(const cluster::NodeState& state) {
  if (state.error) return "failed: " + state.error->message;
  if (state.phase == cluster::Phase::failed) return "failed";
  switch (state.role) {
    case cluster::Role::master:
      return activity_of_master(state);
    case cluster::Role::worker:
      return fmt::format("worker, {}", name_of(state.phase));
    default:
      return "waits for a model";
  }
}

std::vector<std::string> lines_of(const cluster::NodeState& state) {
  std::vector<std::string> lines{fmt::format("{}: {}", state.device, activity_of(state))};
  if (state.error && !state.error->hint.empty()) lines.push_back("  hint    " + state.error->hint);
  lines.push_back(fmt::format("  API     {}/v1", state.api));
  lines.push_back(
      fmt::format("  memory  {} for the engine, {} cores", format_bytes(state.memory), state.cores));
  lines.push_back(
      fmt::format("  engine  build {}", state.engine_build.empty() ? "unknown" : state.engine_build));
  return lines;
}

bool is_news(const cluster::NodeState& before, const cluster::NodeState& now) {
  return what_is_told(before) != what_is_told(now);
}

}  // namespace caravan::cli
