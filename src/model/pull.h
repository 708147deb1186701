// Getting a model of the catalogue onto this device, and checking that it is the one it should be.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/catalogue.h"
#include "model/download.h"
#include "model/packages.h"
#include "model/progress.h"
#include "model/stamps.h"
#include "model/store.h"

namespace caravan::model {

/// Everything here blocks, pulling for hours with a large model: for a worker thread.
struct PullOptions {
  ModelRoots roots = default_model_roots();
  DownloadOptions download;
  PackageOptions packages;
};

/// Against what a model's SHA-256 was checked.
enum class Trust {
  catalogue,  ///< the catalogue's
  source,     ///< the one that the server stated when it was downloaded
  nothing,    ///< nobody states one
};

struct PulledModel {
  fs::path path;
  std::string sha256;
  Trust trust = Trust::nothing;
  bool was_there = false;
};

/// Downloads the model unless it is there, from its sources one after the other. It gets its name only when
/// it is whole, has the right hash and is a model. Code::interrupted when cancelled; the hint says whether
/// the next run can continue.
Result<PulledModel> pull_model(const CatalogueEntry& entry, const PullOptions& options,
                               const TransferControl& control);

/// Hashes the file and compares, with the catalogue or else with the hash at download. Code::incompatible
/// when they differ.
Result<PulledModel> verify_model(const StoredModel& model, const Catalogue& catalogue,
                                 const PullOptions& options, const TransferControl& control);

/// The file of the model that a person names: found where it is or, if the catalogue has it, pulled. A file
/// of the catalogue is hashed once and then again only when it has changed; other files are taken as they
/// are.
Result<fs::path> ensure_model(std::string_view name, const TransferControl& control,
                              const PullOptions& options = {});

/// Deletes a model of Caravan's own folder; Code::invalid for any other.
Result<void> remove_model(const StoredModel& model, const ModelRoots& roots);

/// How much of the entry's file an interrupted download has left, to be continued.
Bytes part_size(const CatalogueEntry& entry, const ModelRoots& roots);
/// Deletes that. Code::unavailable while it is being downloaded.
Result<void> remove_part(const CatalogueEntry& entry, const ModelRoots& roots);

/// Where Stamps of these roots are kept.
Stamps stamps_of(const ModelRoots& roots);

}  // namespace caravan::model
