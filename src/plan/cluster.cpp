#include "plan/cluster.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "plan/profile.h"

namespace caravan::plan {
namespace {

constexpr int kVersion = 1;
constexpr std::uint64_t kMostMemory = std::uint64_t{1} << 53U;  ///< what JSON can hold: it is written again
constexpr std::size_t kMostThreadCounts = 16;
constexpr double kMost = 1e18;  ///< of any rate in a devices file

struct TypeBits {
  std::string_view type;
  double bits;
};
/// 8 times a block's bytes over its weights, from ggml-common.h of llama.cpp v0.5.0.
constexpr std::array<TypeBits, 22> kTypeBits{{
    {"f32", 32},         {"f16", 16},     {"bf16", 16},      {"q8_0", 8.5},      {"q6_k", 6.5625},
    {"q5_k", 5.5},       {"q5_1", 6},     {"q5_0", 5.5},     {"q4_k", 4.5},      {"q4_1", 5},
    {"q4_0", 4.5},       {"iq4_nl", 4.5}, {"iq4_xs", 4.25},  {"q3_k", 3.4375},   {"iq3_s", 3.4375},
    {"iq3_xxs", 3.0625}, {"q2_k", 2.625}, {"iq2_s", 2.5625}, {"iq2_xs", 2.3125}, {"iq2_xxs", 2.0625},
    {"iq1_m", 1.75},     {"mxfp4", 4.25},
}};

/// What a device of a kind can usually do, for planning with devices that one does not own yet. Rough, from
/// what people report of llama.cpp on such devices (docs/planner.md); measured values always win.
struct Kind {
  std::string_view name;
  double decode;    ///< bytes/s
  double prefill;   ///< multiply-adds/s, plain layout
  double repacked;  ///< prefill in the repacked layout, as a multiple
  int threads;
};
constexpr std::array<Kind, 6> kKinds{{
    {"flagship", 22e9, 150e9, 2.5, 4},
    {"midrange", 10e9, 50e9, 2.0, 2},
    {"budget", 4.5e9, 15e9, 1.5, 2},
    {"raspberry-pi-5", 7.5e9, 25e9, 2.0, 4},
    {"laptop", 28e9, 200e9, 2.0, 4},
    {"desktop", 40e9, 400e9, 2.0, 6},
}};

struct LinkProfile {
  std::string_view name;
  double round_trip;  ///< seconds
  double megabits;
};
/// As the lab emulates them (docs/lab.md).
constexpr std::array<LinkProfile, 4> kLinks{{
    {"wifi5", 0.0047, 190},
    {"wifi24", 0.008, 23},
    {"bad-wifi", 0.021, 9},
    {"usb-ethernet", 0.0007, 310},
}};

double bytes_a_second(double megabits) { return megabits * 1e6 / 8; }

std::pair<std::string, std::string> key_of(const std::string& a, const std::string& b) {
  return a < b ? std::pair(a, b) : std::pair(b, a);
}

double positive(Fields& fields, std::string_view name, double fallback) {
  const double value = fields.number_or(name, fallback);
  if (!std::isfinite(value) || value < 0 || value > kMost)
    fields.fail(name, "must be a number from 0 to 1e18");
  return value;
}

Bytes memory_from(Fields& fields, const Json& value) {
  const auto found = value.find("memory");
  if (found == value.end()) {
    fields.fail("memory", "is missing");
    return {};
  }
  if (!found->is_string()) return Bytes{fields.whole("memory")};
  const auto bytes = parse_bytes(found->get<std::string>());
  if (!bytes) fields.fail("memory", bytes.error().message);
  if (bytes && *bytes > Bytes{kMostMemory}) fields.fail("memory", "must be at most 8 PiB");
  return bytes.ok() ? *bytes : Bytes{};
}

void apply_kind(DeviceProfile& device, const Kind& kind) {
  for (const char* type : {"q4_0", "q4_k", "iq4_nl"}) {  // those that every CPU with vector units repacks
    device.kernels[type] = {kind.decode, kind.decode, kind.prefill, kind.prefill * kind.repacked};
  }
  device.kernels["q8_0"] = {kind.decode, kind.decode, kind.prefill, kind.prefill};
  device.attention = kind.decode / 2;  // of two bytes each
  device.attention_prefill = kind.prefill / 4;
  device.elements = kind.decode / 8;  // read and written as floats
  device.threads = kind.threads;
  device.node_seconds = 3e-6;
}

void read_kind(Fields& fields, DeviceProfile& device) {
  const std::string name = fields.text_or("kind", "");
  if (name.empty()) return;
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    names.emplace_back(kind.name);
    if (kind.name == name) return apply_kind(device, kind);
  }
  fields.fail("kind", fmt::format("is '{}', but there are only: {}", name, join(names, ", ")));
}

void read_kernels(Fields& fields, DeviceSpeed& device) {
  const Json* kernels = fields.object_or_none("kernels");
  if (kernels == nullptr) return;
  for (const auto& [type, value] : kernels->items()) {
    Fields speed(value, fmt::format("kernels.{}", printable(type)));
    KernelSpeed kernel;
    kernel.decode = positive(speed, "decode", 0);
    kernel.decode_repacked = positive(speed, "decode_repacked", kernel.decode);
    kernel.prefill = positive(speed, "prefill", 0);
    kernel.prefill_repacked = positive(speed, "prefill_repacked", kernel.prefill);
    kernel.store_repacked = positive(speed, "store_repacked", 0);
    if (!bits_of(type)) speed.fail("decode", "is of a type that ggml does not have");
    if (!speed.ok()) return fields.fail(speed.error());
    device.kernels[type] = kernel;
  }
}

void read_rates(Fields& fields, DeviceSpeed& device) {
  device.threads = fields.small_or("threads", device.threads);
  device.node_seconds = positive(fields, "node_seconds", device.node_seconds);
  device.attention = positive(fields, "attention", device.attention);
  device.attention_prefill = positive(fields, "attention_prefill", device.attention_prefill);
  device.elements = positive(fields, "elements", device.elements);
  device.store = positive(fields, "store", device.store);
}

void read_other_threads(Fields& fields, DeviceProfile& device) {
  const std::vector<Json> others = fields.list_or_none("other_threads");
  if (others.size() > kMostThreadCounts) fields.fail("other_threads", "must be at most 16");
  for (const Json& other : others) {
    if (!fields.ok()) return;
    Fields speed(other, "other_threads[]");
    DeviceSpeed rates;
    read_kernels(speed, rates);
    read_rates(speed, rates);
    if (rates.kernels.empty()) speed.fail("kernels", "is missing");
    if (!speed.ok()) return fields.fail(speed.error());
    device.with_other_threads.push_back(std::move(rates));
  }
}

/// What `caravan calibrate` has kept on that device, as it is.
void read_speed(Fields& fields, DeviceProfile& device) {
  const Json* value = fields.object_or_none("speed");
  if (value == nullptr) return;
  const auto speed = device::speed_from_json(*value);
  if (!speed) return fields.fail(speed.error());
  // Who says how many threads gets that many.
  const int asked = fields.small_or("threads", 0);
  const int threads = asked > 0 ? asked : speed->threads.empty() ? 1 : speed->threads.back();
  auto profile = profile_from(device.name, device.memory, *speed, threads, asked > 0);
  if (!profile) return fields.fail(profile.error());
  device = std::move(*profile);
}

Result<DeviceProfile> device_from(const Json& value, std::size_t number) {
  Fields fields(value, fmt::format("devices[{}]", number));
  DeviceProfile device;
  device.name = fields.text("name");
  read_kind(fields, device);
  read_speed(fields, device);
  read_kernels(fields, device);
  if (value.contains("kernels")) device.is_measured = true;
  device.memory = memory_from(fields, value);
  read_rates(fields, device);
  read_other_threads(fields, device);
  device.disk = positive(fields, "disk", 0);
  device.accepts = fields.flag_or("accepts", true);
  if (device.kernels.empty()) fields.fail("kind", "or 'speed' or 'kernels' must say how fast the device is");
  if (device.name.empty()) fields.fail("name", "is empty");
  if (!fields.ok()) return fields.error();
  return device;
}

Link link_from(Fields& fields) {
  const std::string profile = fields.text_or("profile", "");
  Link link{0.0047, bytes_a_second(190)};
  bool known = profile.empty();
  for (const LinkProfile& each : kLinks) {
    if (each.name != profile) continue;
    link = {each.round_trip, bytes_a_second(each.megabits)};
    known = true;
  }
  if (!known) fields.fail("profile", "is none of wifi5, wifi24, bad-wifi, usb-ethernet");
  link.round_trip = positive(fields, "round_trip_ms", link.round_trip * 1e3) / 1e3;
  link.bandwidth = bytes_a_second(positive(fields, "mbit", link.bandwidth * 8 / 1e6));
  if (link.bandwidth <= 0) fields.fail("mbit", "must be more than 0");
  return link;
}

Result<void> read_links(Fields& fields, Cluster& cluster) {
  if (const Json* usual = fields.object_or_none("link")) {
    Fields link(*usual, "link");
    cluster.usual = link_from(link);
    if (!link.ok()) return link.error();
  }
  std::size_t number = 0;
  for (const Json& value : fields.list_or_none("links")) {
    Fields link(value, fmt::format("links[{}]", number++));
    const std::string from = link.text("from");
    const std::string to = link.text("to");
    const bool reachable = link.flag_or("reachable", true);
    const Link measured = link_from(link);
    for (const std::string& name : {from, to}) {
      const bool known = std::any_of(cluster.devices.begin(), cluster.devices.end(),
                                     [&](const DeviceProfile& device) { return device.name == name; });
      if (!known) link.fail("from", fmt::format("or 'to' is no device of this file: '{}'", printable(name)));
    }
    if (!link.ok()) return link.error();
    cluster.links[key_of(from, to)] = reachable ? std::optional<Link>(measured) : std::nullopt;
  }
  return {};
}

}  // namespace

std::optional<double> bits_of(const std::string& type) {
  for (const TypeBits& each : kTypeBits) {
    if (each.type == type) return each.bits;
  }
  return std::nullopt;
}

void slow_down(DeviceSpeed& speed, double factor) {
  for (auto& [type, kernel] : speed.kernels) {
    kernel.decode /= factor;
    kernel.decode_repacked /= factor;
    kernel.prefill /= factor;
    kernel.prefill_repacked /= factor;
    kernel.store_repacked /= factor;
  }
  speed.node_seconds *= factor;
  speed.attention /= factor;
  speed.attention_prefill /= factor;
  speed.elements /= factor;
  speed.store /= factor;
}

bool is_as_fast(const DeviceProfile& a, const DeviceProfile& b) {
  return static_cast<const DeviceSpeed&>(a) == static_cast<const DeviceSpeed&>(b) &&
         a.with_other_threads == b.with_other_threads;
}

KernelSpeed speed_for(const DeviceSpeed& device, const std::string& type) {
  const auto exact = device.kernels.find(type);
  if (exact != device.kernels.end()) return exact->second;
  const double wanted = bits_of(type).value_or(4.5);
  const auto distance = [&](const auto& entry) {
    return std::abs(bits_of(entry.first).value_or(4.5) - wanted);
  };
  const auto nearest =
      std::min_element(device.kernels.begin(), device.kernels.end(),
                       [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  if (nearest == device.kernels.end()) return {};
  // Whether it has a repacked form is not known either: its neighbour's would be a promise.
  const KernelSpeed& plain = nearest->second;
  return {plain.decode, plain.decode, plain.prefill, plain.prefill};
}

std::optional<Link> Cluster::link(const DeviceProfile& from, const DeviceProfile& to) const {
  // A tunnel goes in whichever direction a connection can be made.
  if (!from.accepts && !to.accepts) return std::nullopt;
  std::optional<Link> link = usual;
  if (!links.empty()) {
    const auto known = links.find(key_of(from.name, to.name));
    if (known != links.end()) link = known->second;
  }
  if (link && handling) link->handling = *handling;
  return link;
}

Result<Cluster> cluster_from_json(const Json& value) {
  if (!value.is_object())
    return Error{Code::invalid, "a devices file is a JSON object", "see docs/planner.md"};
  Fields fields(value, "devices file");
  if (const int version = fields.small_or("version", kVersion); version != kVersion) {
    return Error{Code::incompatible,
                 fmt::format("the devices file is of version {}, known is {}", version, kVersion),
                 "update Caravan"};
  }
  Cluster cluster;
  cluster.usual = {0.0047, bytes_a_second(190)};
  std::size_t number = 0;
  for (const Json& each : fields.list("devices")) {
    auto device = device_from(each, number++);
    if (!device) return device.error();
    for (const DeviceProfile& other : cluster.devices) {
      if (other.name == device->name)
        fields.fail("devices", fmt::format("has two called '{}'", printable(other.name)));
    }
    cluster.devices.push_back(std::move(*device));
  }
  if (value.contains("handling_ms")) {
    cluster.handling = positive(fields, "handling_ms", 0) / 1e3;
    if (*cluster.handling > kMostHandling) fields.fail("handling_ms", "must be at most 100");
  }
  if (!fields.ok()) return fields.error();
  if (auto read = read_links(fields, cluster); !read) return read.error();
  return cluster;
}

namespace {

Json speed_json(const DeviceSpeed& device) {
  Json kernels = Json::object();
  for (const auto& [type, speed] : device.kernels) {
    kernels[type] = {{"decode", speed.decode},
                     {"decode_repacked", speed.decode_repacked},
                     {"prefill", speed.prefill},
                     {"prefill_repacked", speed.prefill_repacked},
                     {"store_repacked", speed.store_repacked}};
  }
  return {{"threads", device.threads},
          {"kernels", std::move(kernels)},
          {"node_seconds", device.node_seconds},
          {"attention", device.attention},
          {"attention_prefill", device.attention_prefill},
          {"elements", device.elements},
          {"store", device.store}};
}

}  // namespace

Json to_json(const Cluster& cluster) {
  const auto link_json = [](const Link& link) {
    return Json{{"round_trip_ms", link.round_trip * 1e3}, {"mbit", link.bandwidth * 8 / 1e6}};
  };
  Json devices = Json::array();
  for (const DeviceProfile& device : cluster.devices) {
    Json one = speed_json(device);
    one["name"] = device.name;
    one["memory"] = device.memory.count;
    one["disk"] = device.disk;
    one["accepts"] = device.accepts;
    for (const DeviceSpeed& other : device.with_other_threads)
      one["other_threads"].push_back(speed_json(other));
    devices.push_back(std::move(one));
  }
  Json links = Json::array();
  for (const auto& [names, link] : cluster.links) {
    Json entry = link ? link_json(*link) : Json{{"reachable", false}};
    entry["from"] = names.first;
    entry["to"] = names.second;
    links.push_back(std::move(entry));
  }
  Json value{
      {"version", kVersion}, {"devices", devices}, {"link", link_json(cluster.usual)}, {"links", links}};
  if (cluster.handling) value["handling_ms"] = *cluster.handling * 1e3;
  return value;
}

}  // namespace caravan::plan
