// Where models are on this device, and what a person means by a model's name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "model/catalogue.h"

namespace caravan::model {

/// The folders in which models are looked for, in this order.
struct ModelRoots {
  fs::path own;                  ///< Caravan's: downloads go there, and only there anything is ever deleted
  std::vector<fs::path> shared;  ///< of other programs; looked through two folders deep
  std::vector<fs::path> hugging_face;  ///< its caches: models--*/snapshots/*/**.gguf
};

/// $CARAVAN_HOME/models, ~/models, ~/.exo/models and the cache of Hugging Face ($HF_HUB_CACHE, $HF_HOME/hub).
ModelRoots default_model_roots();

struct StoredModel {
  fs::path path;
  Bytes size;
  bool own = false;  ///< in ModelRoots::own
};

/// Every *.gguf in the roots, own ones first. Unreadable folders are passed over. Reads folders only.
std::vector<StoredModel> stored_models(const ModelRoots& roots);

/// The file of a catalogue entry: by its name in the own folder, elsewhere also by its exact size. Nothing
/// when absent.
std::optional<StoredModel> find_stored(const CatalogueEntry& entry, const std::vector<StoredModel>& stored);

/// What `name` leads to: a path, a name of the catalogue, a file name, or a file name without ".gguf" (case
/// ignored for the last two). Code::not_found with what was probably meant, or how to get it.
Result<StoredModel> find_model(std::string_view name, const Catalogue& catalogue, const ModelRoots& roots);

/// The entry of that name, or Code::not_found with what was probably meant.
Result<CatalogueEntry> find_entry(std::string_view name, const Catalogue& catalogue);

}  // namespace caravan::model
