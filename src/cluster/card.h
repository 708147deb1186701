// What a device is to the planner, told to every other device when they link and whenever it changes. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"
#include "plan/cluster.h"

namespace caravan::cluster {

inline constexpr int kCardVersion = 1;
inline constexpr std::size_t kMostHeldModels = 256;

/// A model's file on a device.
struct HeldModel {
  std::string file;  ///< plain file name
  Bytes size;

  bool operator==(const HeldModel&) const = default;
};

struct NodeCard {
  std::optional<plan::DeviceProfile> profile;  ///< nothing while its speed is not measured
  std::vector<HeldModel> models;
  std::string engine_build;  ///< empty: it has no engine and can carry nothing
  bool fabric = false;       ///< it has the fabric's programs

  bool can_carry() const { return profile.has_value() && !engine_build.empty(); }
  bool holds(const std::string& file, Bytes size) const;
};

Json to_json(const NodeCard& card);
/// Code::invalid names the wrong field, Code::incompatible for a newer version.
Result<NodeCard> card_from_json(const Json& value);

}  // namespace caravan::cluster
