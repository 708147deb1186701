// A worker's own copies of GGUF files as a source of tensors.
#pragma once

#include <mutex>
#include <unordered_map>
#include <vector>

#include "fabric/store/manifest_cache.h"
#include "fabric/store/weight_source.h"

namespace caravan::fabric {

/// A file that has changed since it was hashed gives no wrong bytes: what is read is hashed again.
class LocalSource : public WeightSource {
 public:
  /// Adds a model (all of its shards). Blocks, for minutes when a large file was never hashed on a slow
  /// device; other threads may use what was added before. An error leaves the source as it was.
  Result<void> add(const fs::path& model, const ManifestCache& cache, const HashingControl& control);

  bool has(const Digest& hash, std::uint64_t size) override;
  Result<void> read(const Digest& hash, std::span<char> out) override;
  Result<void> stream(const Digest& hash, std::uint64_t size, const Sink& sink) override;

  std::size_t tensors() const;

 private:
  struct Place {
    std::string path;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  std::vector<Place> places_of(const Digest& hash, std::uint64_t size) const;
  void forget(const Digest& hash, const Place& place);
  template <typename Read>
  Result<void> try_places(const Digest& hash, std::uint64_t size, const Read& read);

  mutable std::mutex mutex_;
  std::unordered_map<Digest, std::vector<Place>, DigestHash> places_;  ///< guarded by mutex_
};

}  // namespace caravan::fabric
