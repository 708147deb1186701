#include "engine/fabric.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "base/json.h"
#include "base/text.h"

namespace caravan::engine {
namespace {

/// At the place of each WireFormat.
constexpr std::array<std::string_view, 3> kWireNames{"f32", "f16", "q8_0"};

}  // namespace

Result<FabricFiles> locate_fabric() {
  std::error_code no_link;
  const auto named = environment("CARAVAN_FABRIC");
  const fs::path folder =
      named ? fs::path(*named) : fs::read_symlink("/proc/self/exe", no_link).parent_path();
  FabricFiles files{folder / "caravan-worker", folder / "libggml-caravan.so"};
  for (const fs::path& file : {files.worker, files.module}) {
    std::error_code failure;
    if (fs::is_regular_file(file, failure)) continue;
    return Error{Code::not_found, fmt::format("there is no {}", file.string()),
                 "run `./run build` on this device"};
  }
  return files;
}

Result<FabricWeights> fabric_weights() {
  FabricWeights weights{caravan_home() / "models", caravan_home() / "weights", {}};
  const auto limit = environment("CARAVAN_STORE_LIMIT");
  if (!limit) return weights;
  const auto bytes = parse_bytes(*limit);
  if (!bytes || *bytes < mebibytes(1))
    return Error{Code::invalid, fmt::format("CARAVAN_STORE_LIMIT is '{}'", printable(*limit)),
                 "set it to a size of at least 1 MiB, such as 8GiB"};
  weights.limit = *bytes;
  return weights;
}

std::string_view name_of(WireFormat format) { return kWireNames.at(static_cast<std::size_t>(format)); }

std::optional<WireFormat> wire_format_from(std::string_view name) {
  const auto* const found = std::find(kWireNames.begin(), kWireNames.end(), name);
  if (found == kWireNames.end()) return std::nullopt;
  return static_cast<WireFormat>(found - kWireNames.begin());
}

std::string fabric_plan(const std::vector<FabricStage>& stages, HeadPlacement head, WireFormat wire,
                        const fs::path& model, const fs::path& manifests, const fs::path& trace) {
  Json list = Json::array();
  for (const FabricStage& stage : stages) {
    list.push_back({{"name", stage.name},
                    {"address", to_string(HttpAddress(stage.address))},
                    {"peer", stage.peer},
                    {"key", stage.key},
                    {"threads", stage.threads}});
  }
  return dump_json({{"stages", std::move(list)},
                    {"head", head == HeadPlacement::master ? "master" : "worker"},
                    {"wire", name_of(wire)},
                    {"model", model.string()},
                    {"manifests", manifests.string()},
                    {"trace", trace.string()}});
}

Result<std::string> new_fabric_key() {
  std::array<unsigned char, 32> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return Error{Code::unavailable, "the system gives no random numbers", "start this device anew"};
  std::string key;
  for (const unsigned char byte : bytes) key += fmt::format("{:02x}", byte);
  return key;
}

}  // namespace caravan::engine
