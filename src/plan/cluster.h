// What the planner is told of devices and of the links between them: measured, or guessed for devices that
// one does not own yet. Values, no behaviour beyond look-ups.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace caravan::plan {

/// Seconds that a way of the fabric takes over half a round trip and its bytes, where no trace has shown it:
/// writing, waking, reading on both ends, and what the scheduler does between two splits (docs/planner.md).
inline constexpr double kUsualHandling = 0.0007;
inline constexpr double kMostHandling = 0.1;

/// How fast one device multiplies with weights of one type. Decode reads each weight once a token and is
/// measured in bytes of weights a second; prefill is bound by arithmetic and is measured in multiply-adds a
/// second. "Repacked" is the layout that the CPU backend uses for the weights of its own process, and a
/// worker of the fabric for its own; an RPC server never does (engine-facts).
struct KernelSpeed {
  double decode = 0;            ///< bytes/s
  double decode_repacked = 0;   ///< bytes/s; equal to `decode` where the CPU has no repacked form
  double prefill = 0;           ///< multiply-adds/s
  double prefill_repacked = 0;  ///< multiply-adds/s
  double store_repacked =
      0;  ///< bytes/s that are put into that layout by one thread; 0: as DeviceSpeed::store

  bool operator==(const KernelSpeed&) const = default;
};

/// What a device does with one number of threads.
struct DeviceSpeed {
  int threads = 1;
  /// By ggml's name of a type, lower case: "q4_k", "f16". Types that were not measured are taken like the
  /// nearest in bits.
  std::map<std::string, KernelSpeed> kernels;
  double node_seconds = 0;       ///< fixed time for one node of a graph
  double attention = 0;          ///< multiply-adds/s of one query with keys and values
  double attention_prefill = 0;  ///< the same of many queries
  double elements = 0;           ///< numbers/s that the operations between the matrices write
  double store = 0;  ///< bytes/s of weights put into memory as they are by one thread; 0: not known

  bool operator==(const DeviceSpeed&) const = default;
};

struct DeviceProfile : DeviceSpeed {
  std::string name;
  Bytes memory;              ///< what the engine may use in all
  double disk = 0;           ///< bytes/s; 0: not known
  bool accepts = true;       ///< others can connect to it; a hotspot's host only connects outwards
  bool is_measured = false;  ///< false: guessed from what kind of device it is
  /// What was measured with other numbers of threads: the planner takes what is best for a model.
  std::vector<DeviceSpeed> with_other_threads;
};

/// As if everything took `factor` times as long; > 0.
void slow_down(DeviceSpeed& speed, double factor);

/// Whether a device is as fast as before, whatever its memory is.
bool is_as_fast(const DeviceProfile& a, const DeviceProfile& b);

/// Between two devices, in either direction.
struct Link {
  double round_trip = 0;  ///< seconds, median
  double bandwidth = 0;   ///< bytes/s, of one stream
  double handling = kUsualHandling;
};

struct Cluster {
  std::vector<DeviceProfile> devices;
  Link usual;  ///< between any two that are not listed below
  /// By the two names in alphabetical order. Nothing there: these two cannot reach each other.
  std::map<std::pair<std::string, std::string>, std::optional<Link>> links;
  /// Of every way, as a trace of these devices has shown it; kMostHandling at most.
  std::optional<double> handling;

  /// Nothing when `from` cannot open a connection to `to`.
  std::optional<Link> link(const DeviceProfile& from, const DeviceProfile& to) const;
};

/// The speed of `type` on a device; if it was not measured, the plain layout's speed of the type nearest in
/// bits a weight, for both layouts. The device must have at least one.
KernelSpeed speed_for(const DeviceSpeed& device, const std::string& type);

/// Bits a weight of a ggml type, lower case ("q4_k": 4.5); nothing for an unknown one. Source: the block
/// sizes in ggml-common.h.
std::optional<double> bits_of(const std::string& type);

/// The cluster in a devices file (docs/planner.md). Code::invalid names the wrong field.
Result<Cluster> cluster_from_json(const Json& value);
Json to_json(const Cluster& cluster);

}  // namespace caravan::plan
