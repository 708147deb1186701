// A devices file as somebody wrote it: read, written, read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "plan/cluster.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto value =
      caravan::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), 1U << 20U);
  if (!value) return 0;
  const auto cluster = caravan::plan::cluster_from_json(*value);
  if (!cluster) return 0;
  const std::string written = caravan::dump_json(to_json(*cluster));
  const auto again = caravan::plan::cluster_from_json(*caravan::parse_json(written, 1U << 26U));
  if (!again || again->devices.size() != cluster->devices.size()) std::abort();
  for (const auto& device : cluster->devices) (void)cluster->link(cluster->devices.front(), device);
  return 0;
}
