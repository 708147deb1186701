// What controller and nodes tell each other: an Assignment down, a NodeState up. JSON, named, versioned,
// length-checked; docs/control-api.md lists every field. Knows nothing of sockets.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/fabric.h"
#include "plan/data_path.h"

namespace caravan::cluster {

/// Version of these messages. A node refuses an assignment of another version.
inline constexpr int kMessageVersion = 1;
/// Longer messages are refused before they are parsed.
inline constexpr std::size_t kMaxMessageBytes = 1U << 20U;

/// Which order a command belongs to: of two, the higher epoch wins, then the higher generation.
struct Order {
  std::uint64_t epoch = 0;
  std::uint64_t generation = 0;
  auto operator<=>(const Order&) const = default;
};

enum class Role { idle, worker, master };
enum class Phase { idle, starting, loading, ready, stopping, failed };

std::string_view name_of(Role role);
std::string_view name_of(Phase phase);

using plan::data_path_from;
using plan::DataPath;
/// Guessed tokens, or those that a guess looks for: more are refused.
inline constexpr int kMostGuessed = 256;
int read_guessed(Fields& fields, const char* name);
/// The field `wire`; records without one are of a time when all was f32.
engine::WireFormat read_wire(Fields& fields);

/// Where a rank's RPC server, or worker program, can be reached by the master's node.
struct WorkerEndpoint {
  std::string device;
  int rank = 0;
  std::string host;
  int port = 0;
  /// Weights that this worker will be sent: the master's loading progress is measured against it.
  Bytes weights;
  bool is_plain = false;  ///< a stock RPC server: connected to directly, without a tunnel
  // Of the fabric:
  std::string key;  ///< its worker's, as the node told it
  std::string
      peer;  ///< "host:port" of it, where the rank before it hands results on; empty: through the master
};

/// What one node is to run. Level-triggered: it replaces whatever was asked before, repeating it changes
/// nothing.
struct Assignment {
  Order order;
  Role role = Role::idle;
  int rank = 0;
  int threads = 1;
  DataPath data_path = DataPath::rpc;
  /// A worker's, in the fabric: the device of the next rank, to which its node opens a tunnel for hand-offs;
  /// empty for the last one.
  std::string next;

  // The rest is for the master only.
  std::string model_path;
  std::string model_name;            ///< as clients see it
  int context = 0;                   ///< tokens for each sequence
  int parallel = 1;                  ///< sequences at once
  int micro_batch = 0;               ///< tokens; 0: as the engine has it
  std::string kv_type;               ///< of keys and values, "q8_0"; empty: as the engine has it
  bool head_on_last_worker = false;  ///< the output head; else it is on the master
  int lookup = 0;                    ///< tokens that have to have occurred before, for guessing what follows
  int draft = 0;                     ///< tokens guessed at once; 0: none
  engine::WireFormat wire = engine::WireFormat::f32;  ///< in the fabric
  std::vector<int> layers;                            ///< whole layers of each rank, the master's first
  std::vector<WorkerEndpoint> workers;                ///< rank 1 first
};

/// Bytes that crossed between the master's node and one worker, as counted by the tunnel on the master's
/// side.
struct Traffic {
  std::string device;
  Bytes sent;
  Bytes received;
};

/// Layers that the engine said it put on one rank, from its own log.
struct ObservedLayers {
  int rank = 0;
  std::vector<int> layers;
  Bytes weights;  ///< as the engine reports its model buffer
};

inline constexpr std::chrono::hours kOldestSign{24};  ///< of the controller: older ones are told as that
/// When the controller of an epoch was last there, as far as a device has seen or heard from others: tells
/// those without a link to it that it is not gone.
struct ControllerSign {
  std::uint64_t epoch = 0;
  std::chrono::milliseconds age{0};
};

/// What a node is and does. Sent on every change and once a second as a heartbeat.
struct NodeState {
  std::string device;
  int pid = 0;
  Bytes memory;  ///< this node's budget
  int cores = 1;
  std::string api;           ///< "http://127.0.0.1:8080"
  std::string engine_build;  ///< empty when no engine was found
  Order order;               ///< of the assignment that it follows
  Role role = Role::idle;
  Phase phase = Phase::idle;
  double progress = 0;  ///< of loading, 0 to 1
  std::string model;    ///< master: its name as clients see it, else empty
  int rpc_port = 0;     ///< a worker's RPC server, 0 when it has none
  std::vector<int> engine_pids;
  std::string engine_log;  ///< path of the engine's log on that device
  std::vector<Traffic> traffic;
  std::vector<ObservedLayers> observed;
  int busy = 0;                        ///< requests that this node's API is passing on at this moment
  std::vector<std::string> answering;  ///< the models that these are for
  std::optional<Error> error;          ///< why the phase is failed
  std::optional<ControllerSign> controller;
  std::string worker_key;  ///< of the fabric's worker that listens at rpc_port; who shows it is let in
  int hand_off_port = 0;   ///< on this device's loopback: a tunnel to the next rank's worker
};

Json to_json(const Assignment& assignment);
Result<Assignment> assignment_from_json(const Json& value);
Json to_json(const NodeState& state);
Result<NodeState> node_state_from_json(const Json& value);

}  // namespace caravan::cluster
