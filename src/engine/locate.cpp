#include "engine/locate.h"

#include <unistd.h>

#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::engine {
namespace {

constexpr std::string_view kGetOne = "`./run build` makes one; or name its folder with --engine";

struct Place {
  fs::path folder;
  std::string origin;
};

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

fs::path rpc_server_in(const fs::path& folder) {
  for (const char* name : {"ggml-rpc-server", "rpc-server"}) {
    if (is_program(folder / name)) return folder / name;
  }
  return {};
}

Error without_rpc(const fs::path& llama_server) {
  return Error{Code::incompatible,
               fmt::format("{} was built without RPC: there is no ggml-rpc-server beside it",
                           for_people(llama_server)),
               "rebuild it with -DGGML_RPC=ON, or run `./run build`"};
}

/// Nothing when there is no llama-server at all.
std::optional<Result<EngineFiles>> look_into(const Place& place) {
  const fs::path llama_server = place.folder / "llama-server";
  if (!is_program(llama_server)) return std::nullopt;
  const fs::path rpc_server = rpc_server_in(place.folder);
  if (rpc_server.empty()) return without_rpc(llama_server);
  return EngineFiles{llama_server, rpc_server, place.origin};
}

Result<EngineFiles> look_into_named(const std::string& folder, const std::string& origin) {
  std::error_code ignored;
  const fs::path named = fs::absolute(folder, ignored);
  if (!fs::is_directory(named, ignored)) {
    return Error{Code::not_found, fmt::format("there is no folder {} ({})", for_people(named), origin),
                 "name the folder that holds llama-server and ggml-rpc-server"};
  }
  for (const char* below : {"", "bin", "build/bin"}) {
    const fs::path inside = *below == '\0' ? named : named / below;
    if (auto found = look_into({inside, origin})) return *found;
  }
  return Error{Code::not_found, fmt::format("there is no llama-server in {} ({})", for_people(named), origin),
               "name the folder that holds llama-server and ggml-rpc-server"};
}

std::vector<Place> places_to_search(const EnginePlaces& places) {
  std::vector<Place> all;
  if (!places.built.empty()) all.push_back({places.built, "./run build"});
  if (!places.home.empty()) all.push_back({places.home / "llama.cpp" / "build" / "bin", "~/llama.cpp"});
  if (!places.prefix.empty()) all.push_back({fs::path(places.prefix) / "bin", "$PREFIX"});
  for (const std::string& folder : split(places.path, ':')) {
    if (fs::path(folder).is_absolute()) all.push_back({folder, "PATH"});
  }
  return all;
}

}  // namespace

EnginePlaces engine_places(std::string option) {
  return EnginePlaces{.option = std::move(option),
                      .environment = environment("CARAVAN_ENGINE").value_or(""),
                      .built = cache_folder() / "engine" / "current" / "bin",
                      .home = home_folder(),
                      .prefix = environment("PREFIX").value_or(""),
                      .path = environment("PATH").value_or("")};
}

Result<EngineFiles> locate_engine(const EnginePlaces& places) {
  if (!places.option.empty()) return look_into_named(places.option, "--engine");
  if (!places.environment.empty()) return look_into_named(places.environment, "CARAVAN_ENGINE");
  std::optional<Error> incomplete;
  std::vector<std::string> looked_in;
  for (const Place& place : places_to_search(places)) {
    if (place.origin != "PATH") looked_in.push_back(for_people(place.folder));
    auto found = look_into(place);
    if (!found) continue;
    if (found->ok()) return *found;
    if (!incomplete) incomplete = found->error();
  }
  if (incomplete) return *incomplete;
  looked_in.emplace_back("PATH");
  return Error{Code::not_found, fmt::format("no engine was found; looked in {}", join(looked_in, ", ")),
               std::string(kGetOne)};
}

std::map<std::string, std::string> engine_environment(const EngineFiles& files) {
  std::error_code failure;
  const fs::path program =
      fs::canonical(files.llama_server, failure);  // a link may stand elsewhere than the libraries
  std::string folders = (failure ? files.llama_server : program).parent_path().string();
  if (const auto ours = environment("LD_LIBRARY_PATH")) folders += ":" + *ours;
  return {{"LD_LIBRARY_PATH", folders}, {"GGML_NO_BACKTRACE", "1"}};
}

}  // namespace caravan::engine
