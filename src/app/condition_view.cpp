#include "app/condition_view.h"

#include "base/text.h"

namespace caravan::app {
namespace {

Json to_json(const cluster::TokenRates& rates) {
  return {{"decode", rates.decode}, {"prefill", rates.prefill}};
}

Json to_json(const cluster::Way& way) {
  return {{"address", way.address},
          {"outcome", link::name_of(way.outcome)},
          {"why", printable(way.why)},
          {"seconds_ago", way.age}};
}

}  // namespace

void add_condition(Json& device, const cluster::Condition& condition) {
  if (const auto celsius = condition.celsius()) device["celsius"] = *celsius;
  if (condition.battery_celsius) device["battery_celsius"] = *condition.battery_celsius;
  if (condition.processor_celsius) device["processor_celsius"] = *condition.processor_celsius;
  if (condition.battery_percent) device["percent"] = *condition.battery_percent;
  if (condition.charging) device["charging"] = *condition.charging;
  if (condition.rates) {
    device["rates"] = {{"last", to_json(condition.rates->last)},
                       {"minute", to_json(condition.rates->minute)},
                       {"requests", condition.rates->requests}};
  }
  if (condition.speed) {
    device["speed"] = {{"measured", condition.speed->measured},
                       {"planned", condition.speed->planned},
                       {"state", name_of(condition.speed->state)},
                       {"text", describe(*condition.speed)}};
  }
}

void add_place(Json& device, const cluster::Condition& condition) {
  device["hotspot"] = condition.is_hotspot;
  Json& addresses = device["addresses"] = Json::array();
  for (const cluster::OwnAddress& own : condition.addresses)
    addresses.push_back({{"address", own.address}, {"prefix", own.prefix}});
}

void add_traffic(Json& device, const TrafficRate& rate) {
  if (rate.to_worker <= 0 && rate.from_worker <= 0) return;
  device["traffic"] = {{"in", rate.to_worker}, {"out", rate.from_worker}};
}

void add_band(Json& device, const cluster::DeviceBand& state) {
  if (state.band() == cluster::Band::normal) return;
  device["band"] = {{"name", name_of(state.band())}, {"why", state.why()}};
}

void add_ways(Json& device, const std::string& self, const std::string& other, const Conditions& conditions,
              TimePoint now) {
  if (const auto bandwidth = conditions.bandwidth(self, other)) device["bandwidth"] = *bandwidth;
  if (const auto way = conditions.way(self, other, now)) device["tried"] = to_json(*way);
  if (const auto way = conditions.way(other, self, now)) device["tried_from_there"] = to_json(*way);
  if (const std::string from = conditions.came_from(other); !from.empty()) device["seen_from"] = from;
  const cluster::Condition* told = conditions.now_of(other);
  if (told == nullptr || told->membership_version == 0) return;
  const auto differs = conditions.disagrees(other, now);
  device["membership"] = {{"version", told->membership_version}, {"agrees", !differs.has_value()}};
  if (differs) device["membership"]["differs_seconds"] = std::chrono::duration<double>(*differs).count();
}

}  // namespace caravan::app
