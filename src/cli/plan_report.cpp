#include "cli/plan_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace caravan::cli {
namespace {

std::string quoted(const std::string& argument) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) return argument;
  std::string text = "'";
  for (const char c : argument) {
    if (c == '\'') {
      text += R"('\'')";
    } else {
      text += c;
    }
  }
  return text + "'";
}

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
  return fmt::format("  context {} x {}, KV cache {}, output head on {}, micro-batches of {}\n",
                     replica.context, replica.parallel, model::name_of(replica.kv),
                     replica.head == plan::Head::master ? "the master" : "the last worker",
                     replica.micro_batch);
}

std::string prediction_text(const plan::Prediction& predicted) {
  return fmt::format(
      "  generation {} tokens/s   prompt {} tokens/s   first token after {:.1f} s ({} tokens)   loads in "
      "{}\n",
      format_token_rate(predicted.decode), format_token_rate(predicted.prefill), predicted.first_token,
      plan::kReferencePrompt, format_duration(std::chrono::duration<double>(predicted.load)));
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
          {"load_seconds", predicted.load}};
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
          {"predicted", prediction_json(replica.predicted)}};
}

Result<void> add_replica(const plan::Plan& replica, const std::string& model_path, const PlanEngine& engine,
                         std::vector<CommandLine>& lines) {
  engine::MasterArguments master;
  master.model = model_path;
  master.port = 8080;
  master.context = replica.context;
  master.parallel = replica.parallel;
  master.threads = std::max(1, replica.shares.front().threads);
  master.ubatch = replica.micro_batch;
  if (replica.kv != model::KvType::f16) master.kv_type = model::name_of(replica.kv);
  master.head =
      replica.head == plan::Head::master ? engine::HeadPlacement::master : engine::HeadPlacement::last_worker;
  for (const plan::Share& share : replica.shares) {
    master.layers.push_back(share.layer_count);
    if (share.rank == 0) continue;
    const auto port = static_cast<std::uint16_t>(engine::assign_rpc_port(share.rank));
    master.workers.push_back({share.device, port});
    engine::WorkerArguments worker;
    worker.host = share.device;
    worker.port = port;
    worker.threads = std::max(1, share.threads);
    auto arguments = engine::worker_arguments(worker, engine.rpc);
    if (!arguments) return arguments.error();
    arguments->insert(arguments->begin(), "ggml-rpc-server");
    lines.push_back({share.device, std::move(*arguments)});
  }
  auto arguments = engine::master_arguments(master, engine.server, engine.names);
  if (!arguments) return arguments.error();
  arguments->insert(arguments->begin(), "llama-server");
  lines.push_back({replica.shares.front().device, std::move(*arguments)});
  return {};
}

}  // namespace

std::string CommandLine::text() const {
  std::vector<std::string> words;
  words.reserve(arguments.size());
  for (const std::string& argument : arguments) words.push_back(quoted(argument));
  return join(words, " ");
}

Result<std::vector<CommandLine>> command_lines(const plan::Proposal& proposal, const std::string& model_path,
                                               const PlanEngine& engine) {
  std::vector<CommandLine> lines;
  for (const plan::Plan& replica : proposal.replicas) {
    if (auto added = add_replica(replica, model_path, engine, lines); !added) return added.error();
  }
  return lines;
}

std::string plan_text(const std::string& model, const plan::Proposal& proposal,
                      const std::vector<CommandLine>& commands, bool explain) {
  std::string text = fmt::format("{}\n\n", printable(model));
  for (std::size_t i = 0; i < proposal.replicas.size(); ++i) {
    if (proposal.replicas.size() > 1) text += fmt::format("replica {}\n", i + 1);
    text += replica_text(proposal.replicas[i]) + settings_text(proposal.replicas[i]) + "\n";
  }
  text += "predicted\n" + prediction_text(proposal.predicted) + reasons_text(proposal, explain);
  if (!explain || commands.empty()) return text;
  text += "\nby hand (ggml's RPC server has no protection: only on a network where nobody else is)\n";
  for (const CommandLine& command : commands)
    text += fmt::format("  on {}:\n    {}\n", printable(command.device), command.text());
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
    lines.push_back({{"device", command.device}, {"arguments", command.arguments}, {"text", command.text()}});
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
