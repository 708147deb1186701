#include "engine/ggml_files.h"

#include <map>
#include <string>

#include <fmt/format.h>

namespace caravan::engine {
namespace {

/// Library by its name up to ".so"; of several names of one library the shortest, which is the link to the
/// others.
std::map<std::string, fs::path> libraries_in(const fs::path& folder) {
  std::map<std::string, fs::path> libraries;
  std::error_code failure;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failure)) {
    const std::string name = entry.path().filename().string();
    const auto end = name.find(".so");
    const bool versioned = end != std::string::npos && (end + 3 == name.size() || name[end + 3] == '.');
    std::error_code unreadable;
    if (name.rfind("libggml-", 0) != 0 || !versioned || !entry.is_regular_file(unreadable)) continue;
    fs::path& known = libraries[name.substr(0, end)];
    if (known.empty() || name.size() < known.filename().string().size()) known = entry.path();
  }
  return libraries;
}

GgmlFiles look_into(const fs::path& folder) {
  GgmlFiles files;
  for (const auto& [name, path] : libraries_in(folder)) {
    if (name == "libggml-base") files.base = path;
    if (name == "libggml-cpu" || name.rfind("libggml-cpu-", 0) == 0) files.cpu.push_back(path);
  }
  return files;
}

}  // namespace

Result<GgmlFiles> find_ggml(const fs::path& program_folder) {
  for (const fs::path& folder : {program_folder, program_folder.parent_path() / "lib"}) {
    GgmlFiles files = look_into(folder);
    if (!files.base.empty() && !files.cpu.empty()) return files;
  }
  return Error{
      Code::not_found,
      fmt::format(
          "there are no libggml-base.so and libggml-cpu.so with the engine's programs in {}: its kernels "
          "cannot be measured",
          for_people(program_folder)),
      "it was built as static programs: rebuild it with -DBUILD_SHARED_LIBS=ON, or run `./run build`"};
}

}  // namespace caravan::engine
