// How a replica's devices exchange weights and activations.
#pragma once

#include <optional>
#include <string_view>

namespace caravan::plan {

enum class DataPath {
  rpc,     ///< llama.cpp's own
  fabric,  ///< Caravan's backend module and worker program
};
std::string_view name_of(DataPath path);
std::optional<DataPath> data_path_from(std::string_view name);

}  // namespace caravan::plan
