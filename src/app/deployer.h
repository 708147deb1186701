// The edge of the conductor: feeds it what links and nodes report, makes its plans on a worker thread, and
// carries its commands to this node and to others.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "base/json.h"
#include "cluster/conductor.h"
#include "model/gguf.h"

namespace caravan::app {

/// What it needs around it. All are called on the event loop and must not block.
struct DeployerPort {
  std::function<void(const std::string& device, const std::string& name, Json body)> send;
  std::function<void(const std::string& name, Json body)> broadcast;
  std::function<Result<void>(cluster::Assignment)> assign_here;
  std::function<std::string(const std::string& text)> with_names;  ///< ids replaced by names
  std::function<Result<fs::path>(const std::string& file)> path_of;
  /// Round trip from this device, nothing without a link.
  std::function<std::optional<double>(const std::string& device)> round_trip;
  /// Bytes/s between two devices, nothing where nobody has measured it.
  std::function<std::optional<double>(const std::string& a, const std::string& b)> bandwidth;
  /// Seconds of each way in the fabric, as traces have shown it (plan::Cluster); nothing: none has.
  std::function<std::optional<double>()> handling;
  std::function<void()> changed;
  std::function<void(const std::string& text)> told;
};

/// Names of the messages between nodes; docs/protocol.md has their fields.
inline constexpr const char* kDesiredMessage = "desired";
inline constexpr const char* kAssignMessage = "assign";
inline constexpr const char* kStateMessage = "state";
inline constexpr const char* kCardMessage = "card";
inline constexpr const char* kDeploymentsMessage = "deployments";
inline constexpr const char* kAskMessage = "ask";
inline constexpr const char* kPlanWantedMessage = "plan_wanted";
inline constexpr const char* kPlanMadeMessage = "plan_made";

/// One event loop, one thread.
class Deployer {
 public:
  /// `record` is the file of the Desired, which was read from it. `pool` runs what blocks.
  Deployer(boost::asio::any_io_executor executor, boost::asio::any_io_executor pool, std::string self,
           fs::path record, cluster::Desired desired, DeployerPort port);
  ~Deployer();
  Deployer(const Deployer&) = delete;
  Deployer& operator=(const Deployer&) = delete;

  void post(cluster::ConductorEvent event);
  /// Round trips that another device has measured, seconds by device id.
  void heard_round_trips(const std::string& device, std::map<std::string, double> seconds);
  /// What the controller tells of the deployments, for people.
  void heard_deployments(const std::string& device, Json deployments);
  /// Another device controls and has not the model's file: the plan is made here.
  void heard_plan_wanted(const std::string& device, const Json& body);
  void heard_plan_made(const std::string& device, const Json& body);

  /// Until stop().
  boost::asio::awaitable<void> run();
  void stop();

  const cluster::Desired& desired() const;
  /// For this device's state.
  std::optional<cluster::ControllerSign> controller_sign() const;
  /// Asked for here, and not confirmed by the controller yet.
  std::vector<cluster::WishChange> pending() const;
  /// {"controller", "epoch", "deployments": [{"model", "stage", "error", "replicas": [{"shares": [...],
  /// "predicted": ...}]}]}: this device's own where it controls, else as the controller has told it.
  Json deployments() const;

 private:
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::app
