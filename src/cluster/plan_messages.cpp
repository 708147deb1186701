#include "cluster/plan_messages.h"

#include <set>
#include <utility>

#include <fmt/format.h>

namespace caravan::cluster {
namespace {

constexpr std::size_t kMostDevices = 64;
constexpr int kMostLayers = 10000;

void check_version(Fields& fields) {
  const int version = fields.small("version");
  if (!fields.ok() || version == kPlanMessageVersion) return;
  fields.fail(
      Error{Code::incompatible,
            fmt::format("a plan of version {}, this Caravan knows version {}", version, kPlanMessageVersion),
            "run the same Caravan on every device"});
}

Json to_json(const plan::Share& share) {
  Json value{{"device", share.device},
             {"first_layer", share.first_layer},
             {"layers", share.layer_count},
             {"threads", share.threads},
             {"weights", share.weights.count},
             {"kv_cache", share.kv_cache.count},
             {"overhead", share.overhead.count},
             {"budget", share.budget.count},
             {"reason", share.reason}};
  if (share.compute > 0) value["compute"] = share.compute;
  if (share.hop > 0) value["hop"] = share.hop;
  return value;
}

Json to_json(const plan::Plan& plan) {
  Json shares = Json::array();
  for (const plan::Share& share : plan.shares) shares.push_back(to_json(share));
  Json value{{"shares", std::move(shares)},
             {"context", plan.context},
             {"parallel", plan.parallel},
             {"head_on_last_worker", plan.head == plan::Head::last_worker},
             {"kv_type", model::name_of(plan.kv)},
             {"micro_batch", plan.micro_batch},
             {"decode", plan.predicted.decode},
             {"prefill", plan.predicted.prefill},
             {"first_token", plan.predicted.first_token},
             {"load", plan.predicted.load}};
  if (plan.speculation.is_on()) {
    value["speculation"] = {{"lookup", plan.speculation.lookup},
                            {"draft", plan.speculation.draft},
                            {"repeating", plan.speculation.repeating},
                            {"refused", plan.speculation.refused}};
  }
  if (plan.data_path == DataPath::rpc) return value;
  value["data_path"] = name_of(plan.data_path);
  value["load_again"] = plan.predicted.load_again;
  if (plan.predicted.air > 0) value["air"] = plan.predicted.air;
  return value;
}

/// The next rank of `plan`.
void read_share(Fields& parent, const Json& value, plan::Plan& plan) {
  Fields fields(value, "shares[]");
  plan::Share share;
  share.device = fields.text("device");
  share.rank = static_cast<int>(plan.shares.size());
  share.first_layer = fields.small("first_layer");
  share.layer_count = fields.small("layers");
  share.threads = fields.small("threads");
  share.weights = Bytes{fields.whole("weights")};
  share.kv_cache = Bytes{fields.whole("kv_cache")};
  share.overhead = Bytes{fields.whole("overhead")};
  share.budget = Bytes{fields.whole("budget")};
  share.reason = fields.text_or("reason", "");
  share.compute = fields.number_or("compute", 0);
  share.hop = fields.number_or("hop", 0);
  if (share.device.empty() || share.device.size() > kMostTextBytes) fields.fail("device", "must be an id");
  const plan::Share* before = plan.shares.empty() ? nullptr : &plan.shares.back();
  const int next = before == nullptr ? 0 : before->first_layer + before->layer_count;
  if (share.first_layer != next) fields.fail("first_layer", "must follow the rank before");
  if (share.layer_count > kMostLayers) fields.fail("layers", "must be at most 10000");
  if (share.threads > 1024) fields.fail("threads", "must be at most 1024");
  if (!fields.ok()) parent.fail(fields.error());
  plan.shares.push_back(std::move(share));
}

plan::Speculation read_speculation(Fields& parent) {
  plan::Speculation speculation;
  const Json* value = parent.object_or_none("speculation");
  if (value == nullptr) return speculation;
  Fields fields(*value, "speculation");
  speculation.lookup = read_guessed(fields, "lookup");
  speculation.draft = read_guessed(fields, "draft");
  speculation.repeating = fields.number_or("repeating", 0);
  speculation.refused = fields.number_or("refused", 0);
  if (speculation.draft > 0 && speculation.lookup < 1) fields.fail("lookup", "must be at least 1");
  if (!fields.ok()) parent.fail(fields.error());
  return speculation;
}

plan::Plan read_plan(Fields& parent, const Json& value) {
  Fields fields(value, "replicas[]");
  plan::Plan plan;
  plan.context = fields.small("context");
  plan.parallel = fields.small("parallel");
  plan.micro_batch = fields.small_or("micro_batch", 0);
  if (fields.flag_or("head_on_last_worker", false)) plan.head = plan::Head::last_worker;
  const auto kv = model::kv_type_from_name(fields.text("kv_type"));
  if (!kv) fields.fail("kv_type", "has an unknown value");
  plan.kv = kv.value_or(model::KvType::f16);
  plan.predicted = {fields.number("decode"), fields.number("prefill"), fields.number("first_token"),
                    fields.number("load")};
  plan.predicted.load_again = fields.number_or("load_again", plan.predicted.load);
  plan.predicted.air = fields.number_or("air", 0);
  const auto path = data_path_from(fields.text_or("data_path", "rpc"));
  if (!path) fields.fail("data_path", "must be rpc or fabric");
  plan.data_path = path.value_or(DataPath::rpc);
  plan.speculation = read_speculation(fields);
  if (plan.context < 1) fields.fail("context", "must be at least 1");
  if (plan.parallel < 1) fields.fail("parallel", "must be at least 1");
  for (const Json& share : fields.list("shares")) {
    if (!fields.ok()) break;
    if (plan.shares.size() >= kMostDevices) fields.fail("shares", "must be at most 64");
    read_share(fields, share, plan);
  }
  if (plan.shares.empty()) fields.fail("shares", "must not be empty");
  if (!fields.ok()) parent.fail(fields.error());
  return plan;
}

void add_running(Json& value, const std::vector<plan::Plan>& running) {
  for (const plan::Plan& plan : running) value["running"].push_back(to_json(plan));
}

std::vector<plan::Plan> read_plans(Fields& fields, const char* name, const std::vector<Json>& values) {
  std::vector<plan::Plan> plans;
  if (values.size() > kMostDevices) fields.fail(name, "must be at most 64");
  for (const Json& value : values) {
    if (!fields.ok()) break;
    plans.push_back(read_plan(fields, value));
  }
  return plans;
}

std::map<std::string, double> read_slow(Fields& fields) {
  std::map<std::string, double> slow;
  const Json* value = fields.object_or_none("slow");
  if (value == nullptr) return slow;
  for (const auto& [device, part] : value->items()) {
    const bool is_part = part.is_number() && part.get<double>() > 0 && part.get<double>() <= 1;
    if (!is_part || slow.size() == kMostDevices) {
      fields.fail("slow", "must be at most 64 parts above 0 and at most 1");
      return {};
    }
    slow[device] = part.get<double>();
  }
  return slow;
}

std::optional<Planned::Weighed> read_weighed(Fields& parent) {
  const Json* value = parent.object_or_none("weighed");
  if (value == nullptr) return std::nullopt;
  Fields fields(*value, "weighed");
  const Planned::Weighed weighed{fields.number("replicas"), fields.number("running")};
  if (!fields.ok()) parent.fail(fields.error());
  return weighed;
}

/// Nothing when each device is there once.
std::optional<std::string> named_twice(const std::vector<plan::Plan>& replicas) {
  std::set<std::string> devices;
  for (const plan::Plan& plan : replicas) {
    for (const plan::Share& share : plan.shares) {
      if (!devices.insert(share.device).second) return share.device;
    }
  }
  return std::nullopt;
}

}  // namespace

Json to_json(const PlanRequest& request) {
  Json value{{"version", kPlanMessageVersion}, {"number", request.number},
             {"wish", to_json(request.wish)},  {"cluster", to_json(request.devices)},
             {"holders", request.holders},     {"fabric", request.fabric}};
  add_running(value, request.running);
  for (const auto& [device, part] : request.slow) value["slow"][device] = part;
  return value;
}

Result<PlanRequest> plan_request_from_json(const Json& value) {
  Fields fields(value, "plan_wanted");
  check_version(fields);
  PlanRequest request;
  request.number = fields.whole("number");
  request.holders = fields.texts_or_none("holders", kMostDevices);
  request.fabric = fields.texts_or_none("fabric", kMostDevices);
  const Json* wish = fields.object_or_none("wish");
  const Json* devices = fields.object_or_none("cluster");
  if (wish == nullptr) fields.fail("wish", "is missing");
  if (devices == nullptr) fields.fail("cluster", "is missing");
  request.running = read_plans(fields, "running", fields.list_or_none("running"));
  request.slow = read_slow(fields);
  if (!fields.ok()) return fields.error();
  auto read_wish = wish_from_json(*wish);
  if (!read_wish) return read_wish.error();
  auto read_devices = plan::cluster_from_json(*devices);
  if (!read_devices) return read_devices.error();
  if (read_devices->devices.size() > kMostDevices) fields.fail("cluster", "must be at most 64 devices");
  if (!fields.ok()) return fields.error();
  request.wish = std::move(*read_wish);
  request.devices = std::move(*read_devices);
  return request;
}

Json to_json(const Planned& planned) {
  Json value{{"version", kPlanMessageVersion}, {"number", planned.number}};
  if (!planned.replicas) {
    value["error"] = caravan::to_json(planned.replicas.error());
    return value;
  }
  value["replicas"] = Json::array();
  for (const plan::Plan& plan : *planned.replicas) value["replicas"].push_back(to_json(plan));
  add_running(value, planned.running);
  if (planned.weighed)
    value["weighed"] = {{"replicas", planned.weighed->replicas}, {"running", planned.weighed->running}};
  return value;
}

Result<Planned> planned_from_json(const Json& value) {
  Fields fields(value, "plan_made");
  check_version(fields);
  const std::uint64_t number = fields.whole("number");
  if (const Json* error = fields.object_or_none("error"); error != nullptr && fields.ok())
    return Planned{number, error_from_json(*error), {}, std::nullopt};
  std::vector<plan::Plan> replicas = read_plans(fields, "replicas", fields.list("replicas"));
  std::vector<plan::Plan> running = read_plans(fields, "running", fields.list_or_none("running"));
  const auto weighed = read_weighed(fields);
  if (replicas.empty()) fields.fail("replicas", "must not be empty");
  if (const auto twice = named_twice(replicas)) fields.fail("replicas", "must have each device once");
  if (!fields.ok()) return fields.error();
  return Planned{number, std::move(replicas), std::move(running), weighed};
}

}  // namespace caravan::cluster
