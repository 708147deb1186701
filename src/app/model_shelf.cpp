#include "app/model_shelf.h"

#include <algorithm>
#include <system_error>

#include "base/text.h"

namespace caravan::app {
namespace {

constexpr Bytes kLargestList = Bytes{64U << 10U};

}  // namespace

void ModelShelf::put(const fs::path& path) {
  std::error_code failure;
  const auto size = fs::file_size(path, failure);
  if (failure || models_.size() >= cluster::kMostHeldModels) return;
  models_.try_emplace(path.filename().string(), model::StoredModel{path, Bytes{size}, false});
}

void ModelShelf::refresh() {
  models_.clear();
  if (const auto list = read_file(kept_, kLargestList)) {
    for (const std::string& line : split(*list, '\n')) {
      if (!line.empty()) put(line);
    }
  }
  for (const model::StoredModel& model : model::stored_models(roots_)) put(model.path);
}

Result<cluster::HeldModel> ModelShelf::add(const fs::path& path) {
  std::error_code failure;
  const fs::path whole = fs::canonical(path, failure);
  const auto size = failure ? 0 : fs::file_size(whole, failure);
  if (failure) return Error{Code::not_found, path.string() + " is no file that can be read", ""};
  const std::string file = whole.filename().string();
  if (const auto known = models_.find(file); known != models_.end() && known->second.path == whole)
    return cluster::HeldModel{file, Bytes{size}};
  ++changes_;
  models_[file] = model::StoredModel{whole, Bytes{size}, false};
  std::string list = whole.string() + "\n";
  if (const auto before = read_file(kept_, kLargestList)) list += *before;
  list.resize(std::min<std::size_t>(list.size(), kLargestList.count));
  if (auto kept = write_file_atomically(kept_, list); !kept) return kept.error();
  return cluster::HeldModel{file, Bytes{size}};
}

std::vector<cluster::HeldModel> ModelShelf::models() const {
  std::vector<cluster::HeldModel> held;
  held.reserve(models_.size());
  for (const auto& [file, model] : models_) held.push_back({file, model.size});
  return held;
}

Result<fs::path> ModelShelf::path_of(const std::string& file) const {
  const auto found = models_.find(file);
  if (found != models_.end()) return found->second.path;
  return Error{Code::not_found, "this device has no " + file,
               "run `caravan serve` here: it fetches the model"};
}

}  // namespace caravan::app
