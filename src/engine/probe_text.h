// What the engine's programs say about themselves when asked. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caravan::engine {

struct EngineVersion {
  std::string text;      ///< "0.5.0-dev (build 1, commit de3ff81)" or of older builds "4567 (abc1234)"
  std::string commit;    ///< "de3ff81", or empty
  std::string compiler;  ///< "GNU 12.2.0 for Linux x86_64", or empty
};

/// From the output of --version; all empty when there is no version in it.
EngineVersion parse_version(std::string_view output);

/// From the line that begins with "system_info:": "AVX2", "REPACK" and whatever else says "= 1". Names of one
/// backend stand after another without the backend's name.
std::vector<std::string> parse_features(std::string_view output);

/// Names from the output of --list-devices: "RPC0", "Vulkan0".
std::vector<std::string> parse_devices(std::string_view output);

}  // namespace caravan::engine
