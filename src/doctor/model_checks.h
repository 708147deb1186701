// Are the models on this device whole, and is their folder as it should be?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "doctor/check.h"
#include "model/store.h"

namespace caravan::doctor {

/// A file of a model.
struct ModelFile {
  fs::path path;
  Bytes size;
  bool own = false;             ///< in Caravan's own folder
  std::optional<Error> broken;  ///< what is wrong with it
  std::string catalogue_name;   ///< of the entry that it should be; empty: none
};

/// What a download has left.
struct PartialFile {
  fs::path path;
  Bytes size;
  bool in_use = false;         ///< somebody works on it now
  std::string catalogue_name;  ///< of the entry that it belongs to; empty: none
};

struct ModelState {
  fs::path own_folder;
  bool folder_exists = false;
  std::optional<Error> folder_unusable;  ///< it cannot be listed or written
  bool others_may_write = false;         ///< to the folder
  std::vector<ModelFile> files;
  std::vector<PartialFile> parts;
  std::size_t left_out = 0;  ///< files that were not looked into: there are too many
};

/// Pure.
Finding models_intact(const ModelState& state);
Finding models_unfinished(const ModelState& state);
Finding models_folder(const ModelState& state);

/// Reads the headers of the models, not the weights: what was damaged within is found by `caravan models
/// verify`.
ModelState read_model_state(const model::ModelRoots& roots);

Step model_step(model::ModelRoots roots);

}  // namespace caravan::doctor
