#include "cli/trace_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json_look.h"
#include "base/text.h"
#include "cli/text_table.h"
#include "trace/drawing.h"

namespace caravan::cli {
namespace {

using trace::Kind;

constexpr std::size_t kTokensDrawn = 3;
constexpr double kMsInSecond = 1000;

double ms_of(const trace::LaneSummary& lane, Kind kind) { return lane.ms[static_cast<std::size_t>(kind)]; }

std::string ms_text(double ms) { return fmt::format("{:.2f}", ms); }
std::string ms_text(const std::optional<double>& ms) { return ms ? ms_text(*ms) : ""; }

/// The shares of the replica of `model` whose master is this device; an empty list when it is not known.
const Json& replica_here(const Json& view, const std::string& model) {
  static const Json nothing = Json::object();
  const std::string self = text_in(part_of(view, "self"), "id");
  for (const Json& deployment : part_of(view, "deployments")) {
    if (text_in(deployment, "model") != model) continue;
    for (const Json& replica : part_of(deployment, "replicas")) {
      const Json& shares = part_of(replica, "shares");
      if (!shares.empty() && text_in(shares.front(), "device") == self) return replica;
    }
  }
  return nothing;
}

std::vector<std::string> table_of(const trace::Summary& summary, const TracePlan& plan, std::size_t columns) {
  const std::vector<TableColumn> titles{{"ms a token"}, {"compute"}, {"planned", 1}, {"way to it"},
                                        {"planned", 1}, {"wait", 3}, {"send", 4},    {"store", 5},
                                        {"share"},      {"clock", 2}};
  std::vector<std::vector<std::string>> rows;
  rows.reserve(summary.stages.size() + 1);
  const auto add = [&](const std::string& name, const trace::LaneSummary& lane,
                       const trace::Predicted& predicted) {
    rows.push_back({printable(name), ms_text(ms_of(lane, Kind::compute)), ms_text(predicted.compute_ms),
                    ms_text(ms_of(lane, Kind::wire)), ms_text(predicted.hop_ms),
                    ms_text(ms_of(lane, Kind::wait)), ms_text(ms_of(lane, Kind::send)),
                    ms_text(ms_of(lane, Kind::load)), fmt::format("{:.0f}%", lane.share * 100),
                    lane.clock_ms ? fmt::format("+-{:.2f}", *lane.clock_ms) : ""});
  };
  for (std::size_t i = 0; i < summary.stages.size(); ++i)
    add(plan.names.at(i), summary.stages[i], plan.stages.at(i));
  add("head, sampling", summary.master, {});
  return table_lines(titles, rows, columns);
}

std::vector<std::string> notes_of(const trace::Summary& summary, const TracePlan& plan) {
  std::vector<std::string> notes;
  const bool has_stages = std::ranges::any_of(
      plan.stages, [](const trace::Predicted& stage) { return stage.compute_ms || stage.hop_ms; });
  if (!has_stages && !plan.predicted_token_ms)
    notes.emplace_back("The plan predicts no times, so there is nothing to compare with.");
  else if (!has_stages)
    notes.emplace_back("The plan predicts a token's time, but not that of each stage.");
  if (summary.dropped > 0)
    notes.push_back(fmt::format("{} spans are missing: there was no room for them.", summary.dropped));
  for (std::size_t i = 0; i < summary.stages.size(); ++i) {
    if (!summary.stages[i].clock_ms)
      notes.push_back(fmt::format("{} did not tell its time.", printable(plan.names.at(i))));
  }
  return notes;
}

std::string headline(const trace::Summary& summary, const TracePlan& plan, const std::string& model) {
  if (summary.tokens == 0) return fmt::format("{}: no whole token was traced", printable(model));
  std::string line =
      fmt::format("{}: {} {}, {:.1f} ms each ({:.1f} tokens/s)", printable(model), summary.tokens,
                  summary.tokens == 1 ? "token" : "tokens", summary.token_ms, kMsInSecond / summary.token_ms);
  if (plan.predicted_token_ms) line += fmt::format("; planned {:.1f} ms", *plan.predicted_token_ms);
  return line;
}

std::string between_line(const trace::Summary& summary, const TracePlan& plan) {
  std::string line = fmt::format("  between devices: {:.2f} ms a token", summary.between_ms);
  if (plan.predicted_air_ms)
    line += fmt::format(", of that planned for the air {:.2f}", *plan.predicted_air_ms);
  return line;
}

void append(std::vector<std::string>& lines, std::vector<std::string> more) {
  lines.insert(lines.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

Json json_of(const trace::LaneSummary& lane, const std::string& name) {
  Json json{{"name", name}, {"share", lane.share}};
  for (std::size_t kind = 0; kind < trace::kKinds; ++kind)
    json[fmt::format("{}_ms", trace::name_of(static_cast<Kind>(kind)))] = lane.ms[kind];
  if (lane.clock_ms) json["clock_uncertainty_ms"] = *lane.clock_ms;
  return json;
}

}  // namespace

TracePlan trace_plan(const Json& view, const std::string& model, const trace::Timeline& timeline) {
  TracePlan plan;
  const std::size_t count = timeline.stages.size();
  plan.stages.resize(count);
  plan.names.reserve(count);
  for (const trace::Lane& stage : timeline.stages) plan.names.push_back(stage.name);
  const Json& replica = replica_here(view, model);
  const double decode = number_in(part_of(replica, "predicted"), "decode");
  const double parallel = std::max(1.0, number_in(replica, "parallel", 1));
  if (decode > 0) plan.predicted_token_ms = kMsInSecond * parallel / decode;
  if (const double air = number_in(part_of(replica, "predicted"), "air_ms"); air > 0)
    plan.predicted_air_ms = air;
  // A share without layers is no stage.
  std::size_t stage = 0;
  for (const Json& share : part_of(replica, "shares")) {
    if (number_in(share, "layers") <= 0 || stage >= count) continue;
    const bool is_this = number_in(share, "rank") == 0 || text_in(share, "device") == plan.names[stage];
    if (!is_this) break;
    plan.names[stage] = text_in(share, "name", plan.names[stage]);
    plan.stages[stage] = {maybe_number_in(share, "compute_ms"), maybe_number_in(share, "hop_ms")};
    ++stage;
  }
  return plan;
}

std::vector<std::string> trace_lines(const trace::Timeline& timeline, const TracePlan& plan,
                                     const std::string& model, std::size_t columns) {
  const trace::Summary summary = trace::summarize(timeline);
  std::vector<std::string> lines{headline(summary, plan, model), ""};
  if (summary.tokens > 0) append(lines, table_of(summary, plan, columns));
  if (summary.tokens > 0) lines.push_back(between_line(summary, plan));
  if (summary.prompt_parts > 0) {
    lines.push_back("");
    lines.push_back(fmt::format("  prompts: {} tokens in {} {}, {:.0f} ms", summary.prompt_tokens,
                                summary.prompt_parts, summary.prompt_parts == 1 ? "part" : "parts",
                                summary.prompt_ms));
  }
  const auto draw = [&](const trace::Window& window, const std::string& title) {
    lines.push_back("");
    lines.push_back("  " + title);
    std::vector<std::string> names;
    names.reserve(plan.names.size());
    for (const std::string& name : plan.names) names.push_back(printable(name));
    append(lines, trace::draw(timeline, window, names, columns));
  };
  if (const auto window = trace::usual_tokens(timeline, kTokensDrawn))
    draw(*window, window->steps == 1 ? "a token" : fmt::format("{} tokens", window->steps));
  if (const auto window = trace::longest_prompt(timeline))
    draw(*window, fmt::format("a prompt in {} parts", window->steps));
  lines.push_back("");
  lines.push_back("  " + trace::legend());
  for (std::string& note : notes_of(summary, plan)) lines.push_back("  " + std::move(note));
  return lines;
}

Json trace_json(const trace::Timeline& timeline, const TracePlan& plan, const std::string& model) {
  const trace::Summary summary = trace::summarize(timeline);
  Json stages = Json::array();
  for (std::size_t i = 0; i < summary.stages.size(); ++i) {
    Json stage = json_of(summary.stages[i], plan.names.at(i));
    const trace::Predicted& predicted = plan.stages.at(i);
    if (predicted.compute_ms) stage["predicted_compute_ms"] = *predicted.compute_ms;
    if (predicted.hop_ms) stage["predicted_hop_ms"] = *predicted.hop_ms;
    stages.push_back(std::move(stage));
  }
  Json json{{"model", model},
            {"tokens", summary.tokens},
            {"token_ms", summary.token_ms},
            {"between_ms", summary.between_ms},
            {"prompt_tokens", summary.prompt_tokens},
            {"prompt_parts", summary.prompt_parts},
            {"prompt_ms", summary.prompt_ms},
            {"dropped", summary.dropped},
            {"master", json_of(summary.master, "master")},
            {"stages", std::move(stages)}};
  if (plan.predicted_token_ms) json["predicted_token_ms"] = *plan.predicted_token_ms;
  if (plan.predicted_air_ms) json["predicted_air_ms"] = *plan.predicted_air_ms;
  return json;
}

}  // namespace caravan::cli
