// Facts of a model that is not here yet: only the heads of its files are read, by HTTP range requests.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "model/catalogue.h"
#include "model/gguf.h"
#include "model/http_rules.h"
#include "model/progress.h"

namespace caravan::model {

struct RemoteOptions {
  std::chrono::seconds connect_time{20};
  std::chrono::milliseconds stall_time{30000};  ///< so long without a byte counts as a cut
  Bytes first_part = mebibytes(1);              ///< then as much again as is there, up to the largest header
};

/// Of the file at `url`, or of all its shards when its name is a shard's. Reads no more than the headers,
/// some MiB, and nothing from a server that does not answer with parts. Blocks for seconds: for a worker
/// thread. Code::unavailable or disconnected when the server cannot be reached or refuses, incompatible when
/// what it has is no model or not the one that is `expected`, interrupted when cancelled.
Result<ModelFacts> read_remote_facts(const std::string& url, const Expected& expected,
                                     const RemoteOptions& options, const TransferControl& control);

/// From the first of the entry's sources that can be read so. Code::unavailable, with the cure, for a model
/// that is only to be had inside packages.
Result<ModelFacts> read_remote_facts(const CatalogueEntry& entry, const RemoteOptions& options,
                                     const TransferControl& control);

}  // namespace caravan::model
