// Makes a device's own GGUF files a source of weights, beside whatever else goes on.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "fabric/store/local_source.h"

namespace caravan::fabric::worker {

/// The models that `paths` name: files as they are, of folders every *.gguf in them (of shards the first
/// one), in order. Blocks. What cannot be read has none.
std::vector<fs::path> ggufs_of(const std::vector<fs::path>& paths);

/// Hashes models on a thread of its own: until one is done its weights are not known to be here.
class ModelReader {
 public:
  /// `into` must outlive this. `say` is called on the thread, for a model that cannot be used.
  ModelReader(LocalSource& into, std::vector<fs::path> models, const fs::path& manifests,
              std::function<void(const std::string& line)> say);
  /// Ends it where it is.
  ~ModelReader();
  ModelReader(const ModelReader&) = delete;
  ModelReader& operator=(const ModelReader&) = delete;

  /// Blocks until all are read, for `most` at most; whether they are.
  bool wait(std::chrono::milliseconds most) const;

 private:
  std::atomic<bool> cancelled_{false};
  std::future<void> done_;
};

}  // namespace caravan::fabric::worker
