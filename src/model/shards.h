// Names of models that are split into several files: "x-00002-of-00005.gguf" (llama_split_path in
// llama.cpp's src/llama.cpp). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caravan::model {

struct ShardName {
  std::string stem;          ///< "x"; with whatever stands before it, a folder or an address
  std::uint64_t number = 0;  ///< from 1
  std::uint64_t count = 0;
};

/// No model has more; what is above is no shard's name.
inline constexpr std::uint64_t kMaxShards = 1000;

/// Nothing for a file that is no shard.
std::optional<ShardName> parse_shard_name(std::string_view name);

/// All names of the model to which `name` belongs, in order; only `name` when it is no shard.
std::vector<std::string> shard_names(std::string_view name);

}  // namespace caravan::model
