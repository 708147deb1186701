// What a ClusterSide consists of. Internal: cluster_side.cpp has what happens by itself, cluster_asks.cpp
// what the node and people ask for.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/thread_pool.hpp>

#include "app/cluster_side.h"
#include "app/conditions.h"
#include "app/deployer.h"
#include "app/device_system.h"
#include "app/link_measurer.h"
#include "app/model_shelf.h"
#include "app/own_condition.h"
#include "app/pairing_desk.h"
#include "app/replica_choice.h"
#include "app/self_measure.h"
#include "app/speed_check.h"
#include "app/traffic_rates.h"
#include "app/way_handling.h"
#include "base/text.h"

namespace caravan::app {

namespace asio = boost::asio;

/// To measure its speed again; docs/protocol.md.
inline constexpr const char* kMeasureMessage = "measure";

/// What tunnels lead to, on the device at their other end.
inline constexpr const char* kRpcTarget = "rpc";
inline constexpr const char* kApiTarget = "api";

struct ClusterSide::Inner : std::enable_shared_from_this<ClusterSide::Inner> {
  Inner(asio::any_io_executor loop, ClusterOptions chosen, NodePort around, Roster who)
      : executor(loop),
        options(std::move(chosen)),
        node(std::move(around)),
        roster(std::move(who)),
        shelf(model::default_model_roots(), options.mesh.folder / "models.txt"),
        desk(loop, roster),
        card_is_due(loop),
        view_change(loop),
        condition_change(loop),
        senses(
            this_system(options.mesh.folder), node.backend_port,
            [this](const engine::TokenTotals& ended, const engine::TokenTotals& all) {
              answered(ended, all);
            },
            condition_change),
        conditions(roster.self()),
        measurer(loop, roster.self(), measurer_port()) {}

  Result<void> open();
  MeshEvents mesh_events();
  DeployerPort deployer_port();
  bool received(const std::string& device, const std::string& name, const Json& body);
  void take_state(const std::string& device, const Json& body);
  void take_assignment(const std::string& device, const Json& body);
  Result<void> assign(cluster::Assignment assignment);
  Result<std::uint16_t> target(const std::string& target) const;
  asio::awaitable<void> report_states();
  asio::awaitable<void> until_stopped();
  void end_here();
  void tell_state();
  Result<cluster::WishChange> change_from(const Json& asked);
  Result<cluster::Wish> wish_from(const Json& asked);
  std::vector<std::string> models() const;
  gateway::ReplicaView nothing_ready(const std::string& model, gateway::ReplicaView here) const;
  Result<std::uint16_t> api_tunnel(const std::string& device);
  std::vector<ReplicaOffer> offers(const std::string& model, bool is_here) const;
  // cluster_conditions.cpp
  cluster::Condition own_condition() const;
  std::vector<cluster::Place> places() const;
  asio::awaitable<void> tell_conditions();
  void tell_condition_to(const std::string& device);
  bool take_condition(const std::string& device, const std::string& name, const Json& body);
  void note_linked(const std::string& device);
  void traced(const std::string& model, std::string recording);
  void was_between(const std::string& model, double seconds);
  fs::path handling_file() const { return options.mesh.folder / "handling.json"; }
  LinkMeasurerPort measurer_port();
  bool is_quiet() const;
  void note_band(const std::string& device, const cluster::Condition& condition);
  bool is_spared(const std::string& device) const;
  // cluster_speed.cpp
  asio::awaitable<void> keep_card();
  void take_reading(SelfReading reading);
  MeasureChance chance_to_measure();
  void answered(const engine::TokenTotals& ended, const engine::TokenTotals& all);
  void asked_to_measure(const std::string& device);
  void look_for_rest();

  void changed() { view_change.notify(); }
  void say(const std::string& text);

  asio::any_io_executor executor;
  ClusterOptions options;
  NodePort node;
  Roster roster;
  ModelShelf shelf;
  PairingDesk desk;
  engine::Change card_is_due;       ///< this device's card has to be looked at now
  engine::Change view_change;       ///< what people see of the cluster; the node's own state has another
  engine::Change condition_change;  ///< what this device tells of its own condition
  OwnCondition senses;
  Conditions conditions;  ///< of the others, and the ways to them
  LinkMeasurer measurer;
  SpeedCheck speed_check;
  std::map<std::string, cluster::DeviceBand> bands;  ///< of every device that has told how it is
  TrafficRates traffic;
  asio::thread_pool pool{1};
  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<Deployer> deployer;
  std::optional<double> handling;  ///< as this device's last trace has shown it (way_handling.h)
  ReplicaChoice replicas;
  std::map<std::string, std::unique_ptr<link::Tunnel>> api_tunnels;  ///< to masters, by device
  std::map<std::string, cluster::NodeState> states;                  ///< of other devices, as they told them
  std::map<std::string, cluster::NodeCard> cards;                    ///< with this device's own
  std::deque<std::string> news;  ///< the last things that happened, for people
  std::optional<Error> measure_problem;
  bool stopped = false;
};

}  // namespace caravan::app
