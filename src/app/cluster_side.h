// A node's part in its cluster: membership, links, pairing, what should run, and the way to replicas on other
// devices. The node itself (node.h) runs the engine and serves the APIs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "app/mesh.h"
#include "cluster/messages.h"
#include "engine/change.h"
#include "gateway/http_server.h"
#include "gateway/openai_api.h"

namespace caravan::app {

struct ClusterOptions {
  std::string name;              ///< of this device, when it begins a cluster of its own
  std::string cluster = "home";  ///< what that is called
  fs::path program;              ///< the caravan executable, to measure this device's speed
  std::string engine;            ///< folder of the engine's programs, empty: search
  std::string build_id;          ///< of the engine, exactly; see engine::EngineFacts
  std::optional<Bytes> memory;   ///< for the engine, as a person has set it; nothing: what is free
  MeshOptions mesh;
};

/// What it needs of the node. All are called on the event loop and must not block.
struct NodePort {
  std::function<cluster::NodeState()> state;
  std::function<Result<void>(cluster::Assignment)> assign;
  /// Where llama-server answers here, when this node is a master that is ready.
  std::function<std::optional<std::uint16_t>()> backend_port;
  engine::Change* change;  ///< notified when state() has changed; this notifies it when the cluster has
};

/// One event loop, one thread.
class ClusterSide {
 public:
  /// Opens the link port and whatever of the cluster is on the disk. Errors as Roster's and Mesh's.
  static Result<std::unique_ptr<ClusterSide>> open(boost::asio::any_io_executor executor,
                                                   ClusterOptions options, NodePort node);
  ~ClusterSide();
  ClusterSide(const ClusterSide&) = delete;
  ClusterSide& operator=(const ClusterSide&) = delete;

  /// Until stop().
  boost::asio::awaitable<void> run();
  void stop();

  /// The way to a worker's RPC server.
  Result<std::unique_ptr<link::Tunnel>> tunnel_to(const cluster::WorkerEndpoint& worker);
  /// The replica that a request from here should go to. `here`: what this device's own engine does.
  gateway::ReplicaView replica(const gateway::ReplicaQuery& query, gateway::ReplicaView here);
  /// Names of the models that are to be served, oldest first.
  std::vector<std::string> models() const;

  /// A token of the replica of `model` that this device is the master of was traced.
  void traced(const std::string& model, std::string recording);

  /// All that people see of the cluster; fields in docs/control-api.md. `changes()` is notified when it has
  /// changed, but for times that only pass.
  Json view() const;
  engine::Change& changes();

  // What people can ask for. Devices are named as Roster::find takes them. Errors have cause and cure.
  /// Opens pairing; with a code, {"code": ...}.
  Result<Json> invite(bool with_code);
  Result<void> confirm(const std::string& digits, bool same);
  void close_pairing();
  Result<void> remove(const std::string& device);
  Result<void> rename(const std::string& device, const std::string& name);
  Result<void> promote(const std::string& device);
  Result<void> leave();
  /// {"path", "model", "for", "context", "parallel", "use", "avoid", "keep_free", "beside"}; {"stop": MODEL};
  /// an empty object: no model.
  Result<void> serve(const Json& asked);

 private:
  struct Inner;
  explicit ClusterSide(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::app
