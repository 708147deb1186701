// The command line of caravan-worker.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fabric/wire/messages.h"
#include "fabric/worker/executor.h"

namespace caravan::fabric::worker {

struct Options {
  std::vector<std::string> listen;  ///< at least one address
  std::string key_file;             ///< empty: the key is in CARAVAN_FABRIC_KEY
  WorkerSettings settings;
  std::string store;                ///< folder; empty: what is sent is not kept
  std::uint64_t store_limit = 0;    ///< bytes, 0: the store's own limit
  std::vector<std::string> models;  ///< GGUF files of this device
  bool help = false;
};

/// `arguments` without the program's name.
Result<Options> parse_options(const std::vector<std::string>& arguments);
/// What --help prints.
std::string help_text();
/// The plan's key, from the file or from the value of the environment variable.
Result<Key> read_key(const Options& options, const std::optional<std::string>& environment);

}  // namespace caravan::fabric::worker
