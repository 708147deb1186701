// What the whole cluster should be doing, and who decides that: one small record that every node keeps,
// passes on and finds again after a restart. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/result.h"
#include "base/units.h"
#include "cluster/messages.h"
#include "cluster/plain_worker.h"
#include "plan/planner.h"

namespace caravan::cluster {

inline constexpr int kDesiredVersion = 1;
inline constexpr std::size_t kMostWishes = 8;
inline constexpr std::size_t kMostTextBytes = 240;  ///< of a name in a wish
inline constexpr std::size_t kMaxDesiredBytes = std::size_t{1} << 20U;

/// The model that a person asked for. Devices are meant by their ids.
struct Wish {
  std::string model;  ///< as clients see it
  std::string file;   ///< plain file name: a device has the model when it has a file of this name and size
  Bytes size;
  plan::Objective objective = plan::Objective::latency;
  std::optional<int> context;
  std::optional<int> parallel;
  std::vector<std::string> use;
  std::vector<std::string> avoid;
  Bytes keep_free;
  std::vector<PlainWorker> plain;                     ///< that take part, besides the devices
  DataPath data_path = DataPath::fabric;              ///< where it is possible
  engine::WireFormat wire = engine::WireFormat::f32;  ///< in the fabric
  plan::SpeculationWish speculation = plan::SpeculationWish::automatic;

  bool operator==(const Wish&) const = default;
};

/// The newest one counts: of two, that of the higher epoch, then that of the higher controller's id.
/// Everybody therefore ends with the same one, in whatever order they hear of them.
struct Desired {
  std::uint64_t epoch = 0;  ///< 0: nobody has ever asked for anything
  /// The epoch in which the controller has taken control: what runs by orders of an earlier one is nobody's.
  std::uint64_t since = 0;
  std::string controller;    ///< id of the device that decides
  std::vector<Wish> wishes;  ///< each model once, oldest first; none: no model should run

  const Wish* find(std::string_view model) const;
  bool operator==(const Desired&) const = default;
};

bool is_newer(const Desired& a, const Desired& b);

/// Why a device begins an epoch.
enum class Claim {
  succession,  ///< nobody else does it
  wish,        ///< a person asks for it: outranks what devices do on their own meanwhile
};
/// The epoch that `device` begins after `epoch`. Two devices that begin one at the same time, without knowing
/// of each other, begin different ones (to 1 in 65,536), so that neither's orders are taken for the other's.
std::uint64_t next_epoch(std::uint64_t epoch, std::string_view device, Claim claim);

std::string_view name_of(plan::Objective objective);
std::optional<plan::Objective> objective_from(std::string_view name);

Json to_json(const Wish& wish);
Json to_json(const Desired& desired);
/// Code::invalid names the wrong field, Code::incompatible for a newer version.
Result<Desired> desired_from_json(const Json& value);
Result<Wish> wish_from_json(const Json& value);

/// A missing file is an epoch of 0. Both block for one small file; written through to the disk.
Result<Desired> load_desired(const fs::path& path);
Result<void> save_desired(const fs::path& path, const Desired& desired);

}  // namespace caravan::cluster
