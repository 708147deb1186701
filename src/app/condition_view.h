// What people see of the devices' conditions: parts of the cluster's view. Pure.
#pragma once

#include <string>

#include "app/conditions.h"
#include "app/traffic_rates.h"
#include "base/json.h"
#include "base/units.h"
#include "cluster/band.h"

namespace caravan::app {

/// Heat, battery and rates of a device, as it tells them.
void add_condition(Json& device, const cluster::Condition& condition);
/// Where it is, or was.
void add_place(Json& device, const cluster::Condition& condition);
/// What crosses between it and its masters.
void add_traffic(Json& device, const TrafficRate& rate);
/// Why it should carry little, when it should.
void add_band(Json& device, const cluster::DeviceBand& state);
/// What is known of the way between `self` and another device: bandwidth, tries in both directions, whether
/// both hold the same membership.
void add_ways(Json& device, const std::string& self, const std::string& other, const Conditions& conditions,
              TimePoint now);

}  // namespace caravan::app
