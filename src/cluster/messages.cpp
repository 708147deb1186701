#include "cluster/messages.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace caravan::cluster {
namespace {

constexpr int kMaxRanks = 64;
constexpr int kMaxLayers = 10000;
constexpr std::size_t kMaxModels = 64;

constexpr std::array<std::pair<Role, std::string_view>, 3> kRoles{
    {{Role::idle, "idle"}, {Role::worker, "worker"}, {Role::master, "master"}}};
constexpr std::array<std::pair<Phase, std::string_view>, 6> kPhases{{{Phase::idle, "idle"},
                                                                     {Phase::starting, "starting"},
                                                                     {Phase::loading, "loading"},
                                                                     {Phase::ready, "ready"},
                                                                     {Phase::stopping, "stopping"},
                                                                     {Phase::failed, "failed"}}};

template <typename Table, typename Key>
std::string_view name_in(const Table& table, Key key) {
  for (const auto& [value, name] : table) {
    if (value == key) return name;
  }
  return "";
}

/// Reads a name of `table`; an unknown one is an error of `fields`.
template <typename Table>
auto read_name(Fields& fields, const char* field, const Table& table) {
  const std::string text = fields.text(field);
  for (const auto& [value, name] : table) {
    if (name == text) return value;
  }
  fields.fail(field, "has an unknown value");
  return table.front().first;
}

std::vector<int> read_counts(Fields& fields, const char* field) {
  std::vector<int> counts;
  for (const Json& item : fields.list_or_none(field)) {
    const bool usable = item.is_number_unsigned() && item.get<std::uint64_t>() <= kMaxLayers;
    if (!usable || counts.size() >= kMaxLayers) {
      fields.fail(field, "must be a list of small whole numbers");
      return {};
    }
    counts.push_back(item.get<int>());
  }
  return counts;
}

Json describe(const WorkerEndpoint& worker) {
  Json value{{"device", worker.device},
             {"rank", worker.rank},
             {"host", worker.host},
             {"port", worker.port},
             {"weights", worker.weights.count}};
  if (worker.is_plain) value["plain"] = true;
  if (!worker.key.empty()) value["key"] = worker.key;
  if (!worker.peer.empty()) value["peer"] = worker.peer;
  return value;
}

WorkerEndpoint read_endpoint(Fields& parent, const Json& value) {
  Fields fields(value, "workers[]");
  WorkerEndpoint worker{fields.text("device"),
                        fields.small("rank"),
                        fields.text("host"),
                        fields.small("port"),
                        Bytes{fields.whole_or("weights", 0)},
                        fields.flag_or("plain", false),
                        fields.text_or("key", ""),
                        fields.text_or("peer", "")};
  if (worker.port < 1 || worker.port > 65535) fields.fail("port", "must be from 1 to 65535");
  if (!fields.ok()) parent.fail(fields.error());
  return worker;
}

/// What the fields of a master's assignment must have in common.
void check_master(Fields& fields, const Assignment& assignment) {
  if (assignment.model_path.empty()) fields.fail("model_path", "is missing");
  if (assignment.context < 1) fields.fail("context", "must be at least 1");
  if (assignment.parallel < 1) fields.fail("parallel", "must be at least 1");
  if (assignment.draft > 0 && assignment.lookup < 1) fields.fail("lookup", "must be at least 1");
  if (assignment.workers.size() > kMaxRanks) fields.fail("workers", "must be at most 64");
  if (assignment.layers.size() != assignment.workers.size() + 1) {
    fields.fail("layers", "must have one count for the master and one for each worker");
  }
  for (std::size_t i = 0; i < assignment.workers.size(); ++i) {
    if (assignment.workers[i].rank != static_cast<int>(i) + 1)
      fields.fail("workers", "must be in order of rank");
  }
}

Json to_json(Order order) { return {{"epoch", order.epoch}, {"generation", order.generation}}; }

Order read_order(Fields& fields) { return Order{fields.whole("epoch"), fields.whole("generation")}; }

}  // namespace

std::string_view name_of(Role role) { return name_in(kRoles, role); }
std::string_view name_of(Phase phase) { return name_in(kPhases, phase); }
int read_guessed(Fields& fields, const char* name) {
  const int count = fields.small_or(name, 0);
  if (count > kMostGuessed) fields.fail(name, "must be at most 256");
  return count;
}
engine::WireFormat read_wire(Fields& fields) {
  const auto wire = engine::wire_format_from(fields.text_or("wire", "f32"));
  if (!wire) fields.fail("wire", "must be f32, f16 or q8_0");
  return wire.value_or(engine::WireFormat::f32);
}

Json to_json(const Assignment& assignment) {
  Json value = to_json(assignment.order);
  value["version"] = kMessageVersion;
  value["role"] = name_of(assignment.role);
  value["rank"] = assignment.rank;
  value["threads"] = assignment.threads;
  if (assignment.data_path != DataPath::rpc) value["data_path"] = name_of(assignment.data_path);
  if (!assignment.next.empty()) value["next"] = assignment.next;
  if (assignment.role != Role::master) return value;
  value["model_path"] = assignment.model_path;
  value["model_name"] = assignment.model_name;
  value["context"] = assignment.context;
  value["parallel"] = assignment.parallel;
  value["micro_batch"] = assignment.micro_batch;
  value["kv_type"] = assignment.kv_type;
  value["head_on_last_worker"] = assignment.head_on_last_worker;
  if (assignment.wire != engine::WireFormat::f32) value["wire"] = name_of(assignment.wire);
  if (assignment.draft > 0) {
    value["lookup"] = assignment.lookup;
    value["draft"] = assignment.draft;
  }
  value["layers"] = assignment.layers;
  value["workers"] = Json::array();
  for (const WorkerEndpoint& worker : assignment.workers) value["workers"].push_back(describe(worker));
  return value;
}

Result<Assignment> assignment_from_json(const Json& value) {
  Fields fields(value, "assignment");
  const int version = fields.small("version");
  if (fields.ok() && version != kMessageVersion) {
    return Error{
        Code::incompatible,
        fmt::format("assignment of version {}, this node speaks version {}", version, kMessageVersion),
        "run the same Caravan on every device"};
  }
  Assignment assignment;
  assignment.order = read_order(fields);
  assignment.role = read_name(fields, "role", kRoles);
  assignment.rank = fields.small("rank");
  assignment.threads = fields.small("threads");
  const auto path = data_path_from(fields.text_or("data_path", "rpc"));
  if (!path) fields.fail("data_path", "must be rpc or fabric");
  assignment.data_path = path.value_or(DataPath::rpc);
  assignment.next = fields.text_or("next", "");
  if (assignment.threads < 1 || assignment.threads > 1024) fields.fail("threads", "must be from 1 to 1024");
  if (assignment.role == Role::worker && (assignment.rank < 1 || assignment.rank > kMaxRanks)) {
    fields.fail("rank", "must be from 1 to 64 for a worker");
  }
  if (assignment.role == Role::master) {
    assignment.model_path = fields.text("model_path");
    assignment.model_name = fields.text("model_name");
    assignment.context = fields.small("context");
    assignment.parallel = fields.small("parallel");
    assignment.micro_batch = fields.small_or("micro_batch", 0);
    assignment.kv_type = fields.text_or("kv_type", "");
    assignment.head_on_last_worker = fields.flag_or("head_on_last_worker", false);
    assignment.lookup = read_guessed(fields, "lookup");
    assignment.draft = read_guessed(fields, "draft");
    assignment.wire = read_wire(fields);
    assignment.layers = read_counts(fields, "layers");
    for (const Json& worker : fields.list("workers"))
      assignment.workers.push_back(read_endpoint(fields, worker));
    check_master(fields, assignment);
  }
  if (!fields.ok()) return fields.error();
  return assignment;
}

namespace {

ControllerSign read_sign(Fields& fields, const Json& value) {
  Fields sign(value, "controller");
  const std::uint64_t epoch = sign.whole("epoch");
  const std::chrono::duration<double> age(sign.number("age"));
  if (!(age.count() >= 0 && age <= kOldestSign)) sign.fail("age", "must be from 0 to 86400 seconds");
  if (!sign.ok()) {
    fields.fail(sign.error());
    return {};
  }
  return {epoch, std::chrono::duration_cast<std::chrono::milliseconds>(age)};
}

}  // namespace

Json to_json(const NodeState& state) {
  Json value = to_json(state.order);
  value["version"] = kMessageVersion;
  value["device"] = state.device;
  value["pid"] = state.pid;
  value["memory"] = state.memory.count;
  value["cores"] = state.cores;
  value["api"] = state.api;
  value["engine_build"] = state.engine_build;
  value["role"] = name_of(state.role);
  value["phase"] = name_of(state.phase);
  value["progress"] = state.progress;
  value["rpc_port"] = state.rpc_port;
  value["engine_pids"] = state.engine_pids;
  value["engine_log"] = state.engine_log;
  value["traffic"] = Json::array();
  for (const Traffic& traffic : state.traffic) {
    value["traffic"].push_back(
        {{"device", traffic.device}, {"sent", traffic.sent.count}, {"received", traffic.received.count}});
  }
  value["observed"] = Json::array();
  for (const ObservedLayers& observed : state.observed) {
    value["observed"].push_back(
        {{"rank", observed.rank}, {"layers", observed.layers}, {"weights", observed.weights.count}});
  }
  if (!state.model.empty()) value["model"] = state.model;
  value["busy"] = state.busy;
  if (!state.answering.empty()) value["answering"] = state.answering;
  if (state.error) value["error"] = caravan::to_json(*state.error);
  if (!state.worker_key.empty()) value["worker_key"] = state.worker_key;
  if (state.hand_off_port > 0) value["hand_off_port"] = state.hand_off_port;
  if (state.controller) {
    value["controller"] = {{"epoch", state.controller->epoch},
                           {"age", std::chrono::duration<double>(state.controller->age).count()}};
  }
  return value;
}

Result<NodeState> node_state_from_json(const Json& value) {
  Fields fields(value, "state");
  NodeState state;
  state.device = fields.text("device");
  state.pid = fields.small("pid");
  state.memory = Bytes{fields.whole("memory")};
  state.cores = fields.small("cores");
  state.api = fields.text_or("api", "");
  state.engine_build = fields.text_or("engine_build", "");
  state.order = read_order(fields);
  state.role = read_name(fields, "role", kRoles);
  state.phase = read_name(fields, "phase", kPhases);
  state.progress = fields.number_or("progress", 0);
  state.rpc_port = fields.small_or("rpc_port", 0);
  state.worker_key = fields.text_or("worker_key", "");
  state.hand_off_port = fields.small_or("hand_off_port", 0);
  if (state.hand_off_port > 65535) fields.fail("hand_off_port", "is no port");
  state.busy = fields.small_or("busy", 0);
  state.answering = fields.texts_or_none("answering", kMaxModels);
  state.model = fields.text_or("model", "");
  state.engine_log = fields.text_or("engine_log", "");
  for (const Json& pid : fields.list_or_none("engine_pids")) {
    if (!pid.is_number_integer()) fields.fail("engine_pids", "must be whole numbers");
    if (fields.ok()) state.engine_pids.push_back(pid.get<int>());
  }
  for (const Json& item : fields.list_or_none("traffic")) {
    Fields traffic(item, "traffic[]");
    state.traffic.push_back(
        {traffic.text("device"), Bytes{traffic.whole("sent")}, Bytes{traffic.whole("received")}});
    if (!traffic.ok()) fields.fail(traffic.error());
  }
  for (const Json& item : fields.list_or_none("observed")) {
    Fields observed(item, "observed[]");
    state.observed.push_back(
        {observed.small("rank"), read_counts(observed, "layers"), Bytes{observed.whole_or("weights", 0)}});
    if (!observed.ok()) fields.fail(observed.error());
  }
  if (const Json* error = fields.object_or_none("error")) state.error = error_from_json(*error);
  if (const Json* sign = fields.object_or_none("controller")) state.controller = read_sign(fields, *sign);
  if (!fields.ok()) return fields.error();
  return state;
}

}  // namespace caravan::cluster
