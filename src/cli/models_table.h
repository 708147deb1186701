// What `caravan models list` shows, as a table for people and as JSON for programs. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "model/catalogue.h"
#include "model/store.h"

namespace caravan::cli {

/// A model of the catalogue, and where it is.
struct KnownModel {
  model::CatalogueEntry entry;
  std::optional<model::StoredModel> stored;
  Bytes partly;  ///< what an interrupted download has left
};

struct ModelList {
  std::vector<KnownModel> known;
  std::vector<model::StoredModel> others;  ///< on this device, but not in the catalogue
};

ModelList make_model_list(const model::Catalogue& catalogue, const std::vector<model::StoredModel>& stored,
                          const model::ModelRoots& roots);

std::string table_of(const ModelList& list);
Json json_of(const ModelList& list);

}  // namespace caravan::cli
