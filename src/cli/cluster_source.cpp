#include "cli/cluster_source.h"

#include "app/own_profile.h"
#include "base/files.h"
#include "device/memory.h"

namespace caravan::cli {
namespace {

constexpr Bytes kLargestFile = mebibytes(16);

Result<plan::Cluster> cluster_of_file(const std::string& path) {
  const auto text = read_file(path, kLargestFile);
  if (!text) return text.error();
  const auto value = parse_json(*text, kLargestFile.count);
  if (!value) return with_context(value.error(), path);
  auto cluster = plan::cluster_from_json(*value);
  if (!cluster) return with_context(cluster.error(), path);
  return cluster;
}

/// This device, with the speeds that were measured.
Result<plan::Cluster> this_device() {
  const auto memory = device::usable_memory_now();
  if (!memory) return memory.error();
  auto profile = app::own_profile("this-device", *memory);
  if (!profile) return profile.error();
  return plan::Cluster{{std::move(*profile)}, {}, {}};
}

}  // namespace

Result<plan::Cluster> cluster_from(const std::string& devices_file) {
  return devices_file.empty() ? this_device() : cluster_of_file(devices_file);
}

}  // namespace caravan::cli
