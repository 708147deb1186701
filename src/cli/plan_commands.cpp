#include "cli/plan_commands.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::cli {
namespace {

constexpr const char* kPlanFile = "fabric-plan.json";
constexpr const char* kModule = "./libggml-caravan.so";
constexpr int kFirstFabricPort = 50051;  // the guide's, as for RPC

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

engine::MasterArguments master_of(const plan::Plan& replica, const std::string& model_path) {
  engine::MasterArguments master;
  master.model = model_path;
  master.port = 8080;
  master.context = replica.context;
  master.parallel = replica.parallel;
  master.threads = std::max(1, replica.shares.front().threads);
  master.ubatch = replica.micro_batch;
  master.guesses = {replica.speculation.lookup, replica.speculation.draft};
  if (replica.kv != model::KvType::f16) master.kv_type = model::name_of(replica.kv);
  master.head =
      replica.head == plan::Head::master ? engine::HeadPlacement::master : engine::HeadPlacement::last_worker;
  for (const plan::Share& share : replica.shares) master.layers.push_back(share.layer_count);
  return master;
}

Result<void> add_rpc_workers(const plan::Plan& replica, const PlanEngine& engine,
                             engine::MasterArguments& master, std::vector<CommandLine>& lines) {
  for (const plan::Share& share : replica.shares) {
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
    lines.push_back({share.device, std::move(*arguments), {}, "", {}});
  }
  return {};
}

/// The workers' lines, the master's own layers among them; what the module reads goes into `server`.
void add_fabric_workers(const plan::Plan& replica, engine::MasterArguments& master, CommandLine& server,
                        std::vector<CommandLine>& lines) {
  Json stages = Json::array();
  for (const plan::Share& share : replica.shares) {
    const auto port = static_cast<std::uint16_t>(kFirstFabricPort + share.rank);
    const std::string place = fmt::format("{}:{}", share.rank == 0 ? "127.0.0.1" : share.device, port);
    if (share.rank > 0) master.workers.push_back({share.device, port});
    if (share.layer_count == 0) continue;
    const int threads = std::max(1, share.threads);
    CommandLine worker;
    worker.device = share.device;
    worker.arguments = {
        "caravan-worker",           "--listen", place,    "--key-file", "plan.key", "--threads",
        fmt::format("{}", threads), "--store",  "weights"};
    // The master's too: what it has computed goes to the next one, over the network.
    if (replica.shares.size() > 1) worker.arguments.emplace_back("--any-address");
    lines.push_back(std::move(worker));
    stages.push_back({{"name", share.device},
                      {"address", place},
                      {"peer", share.rank == 0 ? "" : place},
                      {"key", kKeyPlace},
                      {"threads", threads}});
  }
  master.fabric = engine::FabricUse{kModule, kPlanFile};
  server.environment = {{"GGML_BACKEND_PATH", kModule}, {"CARAVAN_FABRIC_PLAN", kPlanFile}};
  server.file = kPlanFile;
  server.file_content = {{"stages", std::move(stages)},
                         {"head", replica.head == plan::Head::master ? "master" : "worker"},
                         {"model", master.model.string()},
                         {"manifests", "weights/manifests"}};
}

Result<void> add_replica(const plan::Plan& replica, const std::string& model_path, const PlanEngine& engine,
                         std::vector<CommandLine>& lines) {
  engine::MasterArguments master = master_of(replica, model_path);
  CommandLine server;
  server.device = replica.shares.front().device;
  if (replica.data_path == plan::DataPath::fabric) {
    add_fabric_workers(replica, master, server, lines);
  } else if (auto added = add_rpc_workers(replica, engine, master, lines); !added) {
    return added.error();
  }
  auto arguments = engine::master_arguments(master, engine.server, engine.names);
  if (!arguments) return arguments.error();
  server.arguments = std::move(*arguments);
  server.arguments.insert(server.arguments.begin(), "llama-server");
  lines.push_back(std::move(server));
  return {};
}

}  // namespace

std::string CommandLine::text() const {
  std::vector<std::string> words;
  words.reserve(environment.size() + arguments.size());
  for (const auto& [name, value] : environment) words.push_back(name + "=" + quoted(value));
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

}  // namespace caravan::cli
