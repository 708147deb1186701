#include "plan/data_path.h"

namespace caravan::plan {

std::string_view name_of(DataPath path) { return path == DataPath::fabric ? "fabric" : "rpc"; }

std::optional<DataPath> data_path_from(std::string_view name) {
  if (name == "rpc") return DataPath::rpc;
  if (name == "fabric") return DataPath::fabric;
  return std::nullopt;
}

}  // namespace caravan::plan
