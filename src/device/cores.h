// The processor's cores in clusters of equal ones, and how many threads should generate text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "device/processor.h"
#include "device/source.h"

namespace caravan::device {

/// A CPU as the scheduler counts them; two of them may share a core.
struct Cpu {
  int number = 0;
  std::optional<int> capacity;  ///< cpu_capacity: 1024 is the strongest of this device
  std::optional<int> max_mhz;   ///< cpufreq/cpuinfo_max_freq
  int core = 0;                 ///< the lowest CPU of the same core
  std::string design;           ///< "Cortex-A76", on a hybrid x86 "P-core" or "E-core", or empty
  bool little_design = false;
};

/// Cores of one kind, strongest cluster first.
struct CoreCluster {
  std::string design;
  std::vector<int> cpus;
  int cores = 0;
  std::optional<int> max_mhz;
  std::optional<int> capacity;
  bool little = false;
};

struct DecodeThreads {
  int count = 1;
  std::string reason;
};

struct CoreFacts {
  std::vector<CoreCluster> clusters;
  std::vector<int> allowed;  ///< CPUs that this process may run on, by affinity and cpuset
  std::optional<double>
      cpu_quota;  ///< CPUs' worth of time that a control group allows; nothing: no limit is seen
  DecodeThreads decode;
};

/// Cores of the same design whose strength (capacity, else MHz) is within 5 % are one cluster. A cluster
/// beside a stronger one is little when its design is built to be, or, where the design is not known, when a
/// core has less than half of the capacity (else less than three quarters of the MHz) of a core of the
/// strongest one. Pure.
std::vector<CoreCluster> make_clusters(std::vector<Cpu> cpus);

/// One thread for each big core that is allowed, never one on a little core while a big one is there: all
/// threads wait for the slowest after each operation. A second thread of the same core has nothing to add,
/// and more threads than the quota allows are stopped while others wait for them. Pure.
DecodeThreads decode_threads(const std::vector<CoreCluster>& clusters, const std::vector<int>& allowed,
                             std::optional<double> cpu_quota);

/// Blocks for a few small files per core (Documentation/ABI/testing/sysfs-devices-system-cpu,
/// Cpus_allowed_list of proc_pid_status(5)). `info` is what parse_cpuinfo made of /proc/cpuinfo.
CoreFacts read_cores(const fs::path& root, const Cpuinfo& info, HiddenFacts& hidden);

/// The same with /proc/cpuinfo read, for those who need no more.
CoreFacts read_cores(const fs::path& root = "/");

}  // namespace caravan::device
