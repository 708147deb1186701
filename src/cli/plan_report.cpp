#include "cli/plan_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace caravan::cli {
namespace {

std::string layers_text(const plan::Share& share) {
  if (share.layer_count == 0) return "none";
  return fmt::format("{}-{} ({})", share.first_layer, share.first_layer + share.layer_count - 1,
                     share.layer_count);
}

std::string replica_text(const plan::Plan& replica) {
  std::size_t width = 6;
  for (const plan::Share& share : replica.shares) width = std::max(width, share.device.size());
  std::string text =
      fmt::format("  {:<{}}  rank  role    layers        memory                  threads\n", "device", width);
  for (const plan::Share& share : replica.shares) {
    const std::string memory =
        fmt::format("{} of {}", format_bytes(share.total()), format_bytes(share.budget));
    text += fmt::format("  {:<{}}  {:>4}  {:<6}  {:<12}  {:<22}  {:>7}\n", printable(share.device), width,
                        share.rank, share.rank == 0 ? "master" : "worker", layers_text(share), memory,
                        share.threads);
  }
  return text;
}

std::string settings_text(const plan::Plan& replica) {
  const std::string path =
      replica.shares.size() < 2 ? "" : fmt::format(", data path {}", name_of(replica.data_path));
  return fmt::format("  context {} x {}, KV cache {}, output head on {}, micro-batches of {}{}\n",
                     replica.context, replica.parallel, model::name_of(replica.kv),
                     replica.head == plan::Head::master ? "the master" : "the last worker",
                     replica.micro_batch, path);
}

std::string prediction_text(const plan::Prediction& predicted) {
  const auto duration = [](double seconds) {
    return format_duration(std::chrono::duration<double>(seconds));
  };
  const std::string again = predicted.load_again > 0 && predicted.load_again < predicted.load * 0.9
                                ? ", then " + duration(predicted.load_again)
                                : "";
  return fmt::format(
      "  generation {} tokens/s   prompt {} tokens/s   first token after {:.1f} s ({} tokens)   loads in "
      "{}{}\n",
      format_token_rate(predicted.decode), format_token_rate(predicted.prefill), predicted.first_token,
      plan::kReferencePrompt, duration(predicted.load), again);
}

std::string reasons_text(const plan::Proposal& proposal, bool explain) {
  std::string text = "\nwhy\n";
  for (const std::string& reason : proposal.reasons) text += fmt::format("  {}\n", printable(reason));
  for (const plan::LeftOut& left : proposal.left_out) {
    text += fmt::format("  {} is left out: {}\n", printable(left.device), printable(left.reason));
  }
  if (!explain) return text + "  (more: --explain)\n";
  for (const plan::Plan& replica : proposal.replicas) {
    for (const plan::Share& share : replica.shares) {
      text += fmt::format("  {}: {}\n", printable(share.device), printable(share.reason));
    }
  }
  if (!proposal.alternatives.empty()) text += "\ninstead\n";
  for (const plan::Alternative& other : proposal.alternatives)
    text += fmt::format("  {}\n", printable(other.what));
  return text;
}

Json share_json(const plan::Share& share) {
  return {{"device", share.device},
          {"rank", share.rank},
          {"role", share.rank == 0 ? "master" : "worker"},
          {"first_layer", share.first_layer},
          {"layer_count", share.layer_count},
          {"threads", share.threads},
          {"weights", share.weights.count},
          {"kv_cache", share.kv_cache.count},
          {"overhead", share.overhead.count},
          {"budget", share.budget.count},
          {"reason", share.reason}};
}

Json prediction_json(const plan::Prediction& predicted) {
  return {{"tokens_per_second", predicted.decode},
          {"prompt_tokens_per_second", predicted.prefill},
          {"first_token_seconds", predicted.first_token},
          {"load_seconds", predicted.load},
          {"load_again_seconds", predicted.load_again}};
}

Json speculation_json(const plan::Speculation& speculation) {
  Json value{{"type", speculation.is_on() ? "ngram" : "none"}, {"reason", speculation.reason}};
  if (!speculation.is_on()) return value;
  value["lookup"] = speculation.lookup;
  value["draft"] = speculation.draft;
  value["tokens_per_second_repeating"] = speculation.repeating;
  value["tokens_per_second_refused"] = speculation.refused;
  return value;
}

Json replica_json(const plan::Plan& replica) {
  Json shares = Json::array();
  for (const plan::Share& share : replica.shares) shares.push_back(share_json(share));
  return {{"shares", shares},
          {"context", replica.context},
          {"parallel", replica.parallel},
          {"kv_type", model::name_of(replica.kv)},
          {"head", replica.head == plan::Head::master ? "master" : "last_worker"},
          {"micro_batch", replica.micro_batch},
          {"data_path", name_of(replica.data_path)},
          {"speculation", speculation_json(replica.speculation)},
          {"predicted", prediction_json(replica.predicted)}};
}

}  // namespace

std::string plan_text(const std::string& model, const plan::Proposal& proposal,
                      const std::vector<CommandLine>& commands, bool explain) {
  std::string text = fmt::format("{}\n\n", printable(model));
  for (std::size_t i = 0; i < proposal.replicas.size(); ++i) {
    if (proposal.replicas.size() > 1) text += fmt::format("replica {}\n", i + 1);
    text += replica_text(proposal.replicas[i]) + settings_text(proposal.replicas[i]) + "\n";
  }
  text += "predicted\n" + prediction_text(proposal.predicted) + reasons_text(proposal, explain);
  if (!explain || commands.empty()) return text;
  text += "\nby hand (nothing of this is encrypted: only on a network where nobody else is)\n";
  const bool has_key = std::any_of(commands.begin(), commands.end(),
                                   [](const CommandLine& command) { return !command.file.empty(); });
  if (has_key) {
    text += fmt::format(
        "  once: openssl rand -hex 32 > plan.key; chmod 600 plan.key; the same file on each device, and in "
        "place "
        "of {} below\n",
        kKeyPlace);
  }
  for (const CommandLine& command : commands) {
    text += fmt::format("  on {}:\n", printable(command.device));
    if (!command.file.empty())
      text += fmt::format("    {} (chmod 600): {}\n", command.file, dump_json(command.file_content));
    text += fmt::format("    {}\n", command.text());
  }
  return text;
}

Json plan_json(const std::string& model, const plan::Proposal& proposal,
               const std::vector<CommandLine>& commands) {
  Json replicas = Json::array();
  for (const plan::Plan& replica : proposal.replicas) replicas.push_back(replica_json(replica));
  Json left_out = Json::array();
  for (const plan::LeftOut& left : proposal.left_out)
    left_out.push_back({{"device", left.device}, {"reason", left.reason}});
  Json alternatives = Json::array();
  for (const plan::Alternative& other : proposal.alternatives) {
    alternatives.push_back({{"device", other.device}, {"what", other.what}});
  }
  Json lines = Json::array();
  for (const CommandLine& command : commands) {
    Json environment = Json::object();
    for (const auto& [name, value] : command.environment) environment[name] = value;
    Json line{{"device", command.device},
              {"arguments", command.arguments},
              {"environment", std::move(environment)},
              {"text", command.text()}};
    if (!command.file.empty()) line["file"] = {{"name", command.file}, {"content", command.file_content}};
    lines.push_back(std::move(line));
  }
  return {{"model", model},
          {"replicas", replicas},
          {"predicted", prediction_json(proposal.predicted)},
          {"reasons", proposal.reasons},
          {"left_out", left_out},
          {"alternatives", alternatives},
          {"commands", lines}};
}

}  // namespace caravan::cli
