#include "model/store.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::model {
namespace {

constexpr std::size_t kMostFiles = 20000;  // of one root: somebody's whole disk may be linked below it

bool is_gguf(const fs::path& path) { return lower_case(path.extension().string()) == ".gguf"; }

/// Adds every model at most `depth` folders below `root`, sorted by path.
void add_models(const fs::path& root, int depth, bool own, std::vector<StoredModel>& models) {
  std::vector<StoredModel> found;
  std::size_t seen = 0;
  std::error_code failure;
  fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, failure);
  for (const fs::recursive_directory_iterator end; !failure && it != end && seen < kMostFiles;
       it.increment(failure)) {
    ++seen;
    if (it.depth() >= depth) it.disable_recursion_pending();
    std::error_code gone;
    if (!is_gguf(it->path()) || !it->is_regular_file(gone) || gone) continue;
    const std::uintmax_t size = it->file_size(gone);
    if (!gone) found.push_back({it->path(), Bytes{size}, own});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  models.insert(models.end(), found.begin(), found.end());
}

Result<StoredModel> model_at(const fs::path& path, const ModelRoots& roots) {
  std::error_code failure;
  const std::uintmax_t size = fs::file_size(path, failure);
  if (failure) {
    Error error = errno_error(fmt::format("cannot read {}", path.string()), failure.value());
    if (error.hint.empty())
      error.hint = "check the path; `caravan models list` shows the models that have a name";
    return error;
  }
  const fs::path absolute = fs::absolute(path).lexically_normal();
  return StoredModel{absolute, Bytes{size},
                     absolute.parent_path() == fs::absolute(roots.own).lexically_normal()};
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string closest = closest_match(lower_case(name), candidates);
  return closest.empty() ? "" : fmt::format("did you mean {}? ", closest);
}

std::vector<std::string> names_in(const Catalogue& catalogue) {
  std::vector<std::string> names;
  for (const CatalogueEntry& entry : catalogue.entries()) names.push_back(entry.name);
  for (const CatalogueEntry& entry : catalogue.entries()) {
    for (const std::string& alias : entry.aliases) names.push_back(lower_case(alias));
  }
  return names;
}

}  // namespace

ModelRoots default_model_roots() {
  const fs::path home = home_folder();
  ModelRoots roots{caravan_home() / "models", {home / "models", home / ".exo" / "models"}, {}};
  const auto cache = environment("HF_HUB_CACHE");
  const auto hf_home = environment("HF_HOME");
  roots.hugging_face.push_back(cache     ? fs::path(*cache)
                               : hf_home ? fs::path(*hf_home) / "hub"
                                         : home / ".cache" / "huggingface" / "hub");
  return roots;
}

std::vector<StoredModel> stored_models(const ModelRoots& roots) {
  std::vector<StoredModel> models;
  add_models(roots.own, 0, true, models);
  for (const fs::path& root : roots.shared) add_models(root, 2, false, models);
  for (const fs::path& root : roots.hugging_face) {
    std::error_code failure;
    std::vector<fs::path> snapshots;
    for (fs::directory_iterator it(root, failure), end; !failure && it != end; it.increment(failure)) {
      if (it->path().filename().string().rfind("models--", 0) == 0)
        snapshots.push_back(it->path() / "snapshots");
    }
    std::sort(snapshots.begin(), snapshots.end());
    for (const fs::path& folder : snapshots) add_models(folder, 3, false, models);
  }
  return models;
}

std::optional<StoredModel> find_stored(const CatalogueEntry& entry, const std::vector<StoredModel>& stored) {
  for (const StoredModel& model : stored) {
    const bool same_size = model.size == entry.size || !entry.sha256;
    if (model.path.filename() == entry.file && (model.own || same_size)) return model;
  }
  return std::nullopt;
}

Result<CatalogueEntry> find_entry(std::string_view name, const Catalogue& catalogue) {
  if (const CatalogueEntry* entry = catalogue.find(name)) return *entry;
  return Error{Code::not_found, fmt::format("the catalogue has no model '{}'", printable(name)),
               did_you_mean(name, names_in(catalogue)) + "`caravan models list` shows all"};
}

Result<StoredModel> find_model(std::string_view name, const Catalogue& catalogue, const ModelRoots& roots) {
  std::error_code failure;
  const bool is_path = name.find('/') != std::string_view::npos;
  if (is_path || (is_gguf(name) && fs::exists(name, failure))) return model_at(name, roots);
  const std::vector<StoredModel> stored = stored_models(roots);
  const CatalogueEntry* entry = catalogue.find(name);
  if (entry != nullptr) {
    if (const auto model = find_stored(*entry, stored)) return *model;
  }
  const std::string wanted = lower_case(name);
  std::vector<std::string> names = names_in(catalogue);
  for (const StoredModel& model : stored) {
    const std::string file = lower_case(model.path.filename().string());
    const std::string stem = lower_case(model.path.stem().string());
    if (wanted == file || wanted == stem) return model;
    names.push_back(stem);
  }
  if (entry != nullptr) {
    return Error{Code::not_found, fmt::format("{} is not on this device", entry->name),
                 fmt::format("get it ({}): caravan models pull {}", format_bytes(entry->size), entry->name)};
  }
  return Error{
      Code::not_found, fmt::format("there is no model '{}'", printable(name)),
      did_you_mean(name, names) + "`caravan models list` shows all; a path to a .gguf file also does"};
}

}  // namespace caravan::model
