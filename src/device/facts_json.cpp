#include "device/facts_json.h"

namespace caravan::device {
namespace {

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}
Json or_null(const std::optional<Bytes>& value) { return value ? Json(value->count) : Json(); }

Json json_of(const AndroidFacts& android) {
  return {{"version", or_null(android.version)}, {"api_level", or_null(android.api_level)}};
}

Json json_of(const MemoryFacts& memory) {
  Json cgroup;
  if (memory.cgroup) {
    cgroup = {{"version", memory.cgroup->version},
              {"limit", memory.cgroup->limit.count},
              {"used", memory.cgroup->used.count},
              {"reclaimable", memory.cgroup->reclaimable.count}};
  }
  return {{"total", or_null(memory.total)},
          {"available", or_null(memory.available)},
          {"cgroup", std::move(cgroup)},
          {"kept_back", memory.policy.kept_back.count},
          {"usable", or_null(memory.policy.usable)},
          {"reason", memory.policy.reason}};
}

Json json_of(const CoreFacts& cores) {
  Json clusters = Json::array();
  for (const CoreCluster& cluster : cores.clusters) {
    clusters.push_back({{"design", cluster.design.empty() ? Json() : Json(cluster.design)},
                        {"little", cluster.little},
                        {"cores", cluster.cores},
                        {"cpus", cluster.cpus},
                        {"max_mhz", or_null(cluster.max_mhz)},
                        {"capacity", or_null(cluster.capacity)}});
  }
  return {{"clusters", std::move(clusters)},
          {"allowed_cpus", cores.allowed},
          {"cpu_quota", or_null(cores.cpu_quota)},
          {"decode_threads", cores.decode.count},
          {"decode_threads_reason", cores.decode.reason}};
}

Json json_of(const BatteryFacts& battery) {
  return {{"level_percent", or_null(battery.level)},
          {"charging", or_null(battery.charging)},
          {"plugged", or_null(battery.plugged)},
          {"temperature", or_null(battery.temperature)}};
}

Json json_of(const WifiFacts& wifi) {
  const std::string band = band_of(wifi.frequency_mhz.value_or(0));
  return {{"connected", wifi.connected},
          {"frequency_mhz", or_null(wifi.frequency_mhz)},
          {"band", band.empty() ? Json() : Json(band)},
          {"rate_mbit", or_null(wifi.rate_mbit)},
          {"signal_dbm", or_null(wifi.signal_dbm)}};
}

template <typename T, typename F>
Json array_of(const std::vector<T>& values, F&& to) {
  Json array = Json::array();
  for (const T& value : values) array.push_back(to(value));
  return array;
}

}  // namespace

Json to_json(const DeviceFacts& facts) {
  Json json;
  json["model"] = or_null(facts.model);
  json["android"] = facts.android ? json_of(*facts.android) : Json();
  json["termux"] = facts.termux;
  json["memory"] = json_of(facts.memory);
  json["processor"] = {{"name", or_null(facts.processor.name)},
                       {"architecture", facts.processor.architecture},
                       {"features", facts.processor.features}};
  json["cores"] = json_of(facts.cores);
  if (facts.storage) {
    json["storage"] = {{"folder", facts.storage->folder.string()}, {"free", facts.storage->free.count}};
  } else {
    json["storage"] = nullptr;
  }
  json["battery"] = facts.battery ? json_of(*facts.battery) : Json();
  json["thermal_zones"] = array_of(facts.thermal_zones, [](const ThermalZone& zone) -> Json {
    return {{"name", zone.name}, {"temperature", zone.temperature}};
  });
  json["wifi"] = facts.wifi ? json_of(*facts.wifi) : Json();
  json["addresses"] = array_of(facts.addresses, [](const Address& one) -> Json {
    return {{"interface", one.interface}, {"address", one.address}, {"ipv6", one.ipv6}};
  });
  json["hidden"] = array_of(facts.hidden, [](const HiddenFact& one) -> Json {
    return {{"fact", one.fact}, {"why", one.why}, {"cure", one.cure.empty() ? Json() : Json(one.cure)}};
  });
  return json;
}

}  // namespace caravan::device
