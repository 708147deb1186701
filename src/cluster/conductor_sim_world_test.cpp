// What happens to the simulated cluster of conductor_sim.h, and what is expected of it. No tests of its own.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cluster/conductor_sim.h"

namespace caravan::cluster {

using std::chrono::milliseconds;
using std::chrono::seconds;

Result<std::vector<plan::Plan>> sim_plan(const std::vector<SimNode>& nodes, const Wish& wish,
                                         std::vector<std::string> devices, std::vector<std::string> holders) {
  const auto capacity = [&](const std::string& id) {
    return std::find_if(nodes.begin(), nodes.end(), [&](const SimNode& node) { return node.id == id; })
        ->capacity;
  };
  const auto stronger = [&](const std::string& a, const std::string& b) { return capacity(a) > capacity(b); };
  std::stable_sort(devices.begin(), devices.end(), stronger);
  std::stable_sort(holders.begin(), holders.end(), stronger);
  std::vector<plan::Plan> replicas;
  std::set<std::string> used;
  for (const std::string& master : holders) {
    if (used.contains(master)) continue;
    if (!replicas.empty() && wish.objective != plan::Objective::throughput) break;
    plan::Plan plan;
    plan.context = 512;
    std::vector<std::string> shares{master};
    std::uint64_t carried = capacity(master);
    for (const std::string& device : devices) {
      if (carried >= wish.size.count) break;
      if (device == master || used.contains(device)) continue;
      shares.push_back(device);
      carried += capacity(device);
    }
    if (carried < wish.size.count) break;
    if (shares.size() > 1) plan.data_path = wish.data_path;
    for (const std::string& device : shares) {
      plan::Share share;
      share.device = device;
      share.rank = static_cast<int>(plan.shares.size());
      share.first_layer = share.rank * 4;
      share.layer_count = 4;
      plan.shares.push_back(share);
      used.insert(device);
    }
    plan.predicted.decode = static_cast<double>(capacity(master)) / static_cast<double>(shares.size());
    replicas.push_back(std::move(plan));
  }
  if (replicas.empty()) return Error{Code::exhausted, "it does not fit", ""};
  return replicas;
}

std::size_t Simulation::some_node_up() {
  for (;;) {
    const std::size_t number = below(nodes_.size());
    if (nodes_[number].up) return number;
    if (std::none_of(nodes_.begin(), nodes_.end(), [](const SimNode& node) { return node.up; }))
      return number;
  }
}

void Simulation::ask(std::size_t number, const WishChange& change) {
  SimNode& node = nodes_[number];
  if (!node.up) return;
  note([&] {
    return fmt::format("{} is asked to {} '{}'{}", node.id, change.serve ? "serve" : "stop", model_of(change),
                       change.beside ? " beside" : "");
  });
  feed(node, ChangeAsked{change});
}

WishChange Simulation::some_change() {
  const int model = 1 + static_cast<int>(below(3));
  const std::uint64_t kind = below(100);
  if (kind < 30) return {wish(model), false, ""};
  if (kind < 70) return {wish(model), true, ""};
  return {std::nullopt, false, kind < 90 ? fmt::format("m{}", model) : ""};
}

void Simulation::disturb() {
  const std::size_t a = below(nodes_.size());
  const std::size_t b = (a + 1 + below(nodes_.size() - 1)) % nodes_.size();
  switch (below(14)) {
    case 0:
      return crash(a);
    case 1:
      return start(a);
    case 2:
      if (!nodes_[a].up && chance(10)) {  // installed anew: orders to the one before are not its own
        nodes_[a].disk = {};
        std::erase_if(started_, [&](const auto& one) { return one.first == nodes_[a].id; });
      }
      return start(a);
    case 3:
      return cut(a, b);
    case 4:
      return block(a, b, true);
    case 5:
      return block(a, b, false);
    case 6:
      return crash_engine(a);
    case 7:
      return ask(a, some_change());
    case 8:
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        for (std::size_t j = i + 1; j < nodes_.size(); ++j) block(i, j, (i + a) % 2 != (j + a) % 2);
      }
      return;
    case 9:
      nodes_[a].busy = nodes_[a].busy > 0 ? 0 : 1;
      nodes_[a].answering = chance(50) ? "" : fmt::format("m{}", 1 + below(3));
      return;
    case 10:
      if (a > 0 && chance(30)) remove(a);  // somebody is left
      return;
    case 11:  // whoever controls goes right after
      ask(a, some_change());
      run_for(between(0, 500));
      if (nodes_[a].up && !nodes_[a].conductor->controls() &&
          !nodes_[a].conductor->desired().controller.empty())
        crash(static_cast<std::size_t>(nodes_[a].conductor->desired().controller[0] - 'a'));
      return;
    case 12: {
      const auto band = static_cast<Band>(below(3));
      note([&] { return fmt::format("{} is {}", nodes_[a].id, name_of(band)); });
      for (SimNode& node : nodes_) {
        if (node.up) feed(node, BandChanged{nodes_[a].id, band, "its battery has 43 °C"});
      }
      return;
    }
    default:
      nodes_[a].card.profile = plan::DeviceProfile{};
      nodes_[a].card.profile->node_seconds = static_cast<double>(below(3));  // measured anew
      nodes_[a].card.engine_build = std::string("b");
      if (nodes_[a].up) feed(nodes_[a], CardHeard{nodes_[a].id, nodes_[a].card});
      tell_all(a, nodes_[a].card);
  }
}

void Simulation::calm() {
  note([] { return "all is calm"; });
  engines_fail_ = 0;
  orders_.clear();
  for (auto& [pair, each] : sessions_) each.blocked = false;
  for (SimNode& node : nodes_) {
    node.busy = 0;
    if (!node.up && (chance(70) || node.number < 2)) start(node.number);
  }
}

std::map<std::string, Order> Simulation::engines_of(const std::string& model) const {
  std::map<std::string, Order> engines;
  for (const SimNode& node : nodes_) {
    if (!node.up || !node.role || node.role->role != Role::master || node.role->model_name != model) continue;
    engines[node.id] = node.role->order;
    for (const WorkerEndpoint& worker : node.role->workers) engines[worker.device] = node.role->order;
  }
  return engines;
}

/// Adds what should run to `planned`, by device.
std::string Simulation::unsettled(const SimNode& controller,
                                  std::map<std::string, std::pair<Role, Order>>& planned) const {
  const auto views = controller.conductor->deployments();
  const auto& wishes = controller.conductor->desired().wishes;
  if (views.size() != wishes.size())
    return fmt::format("{} deployments for {} wishes", views.size(), wishes.size());
  for (const DeploymentView& view : views) {
    std::optional<Order> order;
    for (const plan::Plan* plan : view.plans) {
      for (const plan::Share& share : plan->shares) {
        const SimNode& node = nodes_[static_cast<std::size_t>(share.device[0] - 'a')];
        if (!node.up || !node.role || node.phase != Phase::ready)
          return fmt::format("{} is not ready", share.device);
        if (!order) order = node.role->order;
        if (node.role->order != *order) return fmt::format("{} runs for another order", share.device);
        if (node.role->rank != share.rank) return fmt::format("{} has another rank", share.device);
        const Role role = share.rank == 0 ? Role::master : Role::worker;
        if (role == Role::master && node.role->model_name != view.model)
          return fmt::format("{} runs another model than {}", share.device, view.model);
        if (!planned.try_emplace(share.device, role, *order).second)
          return fmt::format("{} is in two runs", share.device);
      }
    }
  }
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const DeploymentView& view = views[i];
    std::vector<std::string> devices;
    std::vector<std::string> holders;
    for (const SimNode& node : nodes_) {
      if (!node.up || !node.card.can_carry() || planned.contains(node.id)) continue;
      devices.push_back(node.id);
      if (node.card.holds(wishes[i].file, wishes[i].size)) holders.push_back(node.id);
    }
    const bool fits = !holders.empty() && sim_plan(nodes_, wishes[i], devices, holders).ok();
    if (view.stage != Stage::serving && (view.stage != Stage::failed || fits))
      return fmt::format("{} is {}", view.model, name_of(view.stage));
    if (view.stage == Stage::serving && view.plans.empty()) return view.model + " is serving nothing";
  }
  return "";
}

std::string Simulation::unsettled() const {
  const SimNode* controller = nullptr;
  const SimNode* first = nullptr;
  bool is_held = false;
  for (const SimNode& node : nodes_) {
    if (!node.up) continue;
    if (first == nullptr) first = &node;
    const Desired& desired = node.conductor->desired();
    if (desired != first->conductor->desired())
      return fmt::format("{} has another record than {}", node.id, first->id);
    if (!node.conductor->pending().empty()) return fmt::format("{} waits for a confirmation", node.id);
    if (node.conductor->controls()) controller = &node;
    is_held = is_held || (node.card.can_carry() &&
                          std::any_of(desired.wishes.begin(), desired.wishes.end(), [&](const Wish& wish) {
                            return node.card.holds(wish.file, wish.size);
                          }));
  }
  if (first == nullptr) return "";
  if (controller == nullptr && is_held) return "nobody controls";
  std::map<std::string, std::pair<Role, Order>> planned;
  if (controller != nullptr) {
    if (std::string why = unsettled(*controller, planned); !why.empty()) return why;
  }
  for (const SimNode& node : nodes_) {
    if (!node.up || !node.role) continue;
    if (!planned.contains(node.id)) return fmt::format("{} runs an orphan", node.id);
    if (planned.at(node.id).first != node.role->role) return fmt::format("{} has another role", node.id);
  }
  return "";
}

}  // namespace caravan::cluster
