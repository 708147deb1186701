// The model files that this device has, as told to the other devices, and where they are.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "cluster/card.h"
#include "model/store.h"

namespace caravan::app {

/// Not for several threads. Names are plain file names: paths never leave the device.
class ModelShelf {
 public:
  ModelShelf() = default;  ///< empty, for whoever has to wait for one
  /// `kept`: a file that remembers models outside of the usual folders, one path a line.
  ModelShelf(model::ModelRoots roots, fs::path kept) : roots_(std::move(roots)), kept_(std::move(kept)) {}

  /// Looks again. Reads folders only, but these may be large: for a worker thread.
  void refresh();
  /// A model that a person named by its path. Remembered over restarts. Code::not_found when it is no file.
  Result<cluster::HeldModel> add(const fs::path& path);

  std::vector<cluster::HeldModel> models() const;
  std::size_t changes() const { return changes_; }  ///< how often add() has changed it
  /// Code::not_found names the file.
  Result<fs::path> path_of(const std::string& file) const;

 private:
  void put(const fs::path& path);

  model::ModelRoots roots_;
  fs::path kept_;
  std::size_t changes_ = 0;
  std::map<std::string, model::StoredModel> models_;  ///< by file name
};

}  // namespace caravan::app
