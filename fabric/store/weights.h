// All that a worker has of weights: its own model files and the store, as one source.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "fabric/store/local_source.h"
#include "fabric/store/tensor_store.h"

namespace caravan::fabric {

/// Every function may be called by several threads at once.
class Weights : public WeightSource {
 public:
  /// Without a store nothing is kept of what is sent: `why` is what writers say of it.
  Weights(std::shared_ptr<LocalSource> local, Error why) : local_(std::move(local)), why_(std::move(why)) {}
  Weights(std::shared_ptr<LocalSource> local, std::unique_ptr<TensorStore> store)
      : local_(std::move(local)), store_(std::move(store)) {}

  bool has(const Digest& hash, std::uint64_t size) override;
  /// From the device's own models first: they are there anyway, so the store's copy may go one day.
  Result<void> read(const Digest& hash, std::span<char> out) override;
  Result<void> stream(const Digest& hash, std::uint64_t size, const Sink& sink) override;

  /// As those of TensorStore. Must outlive the writer.
  std::uint64_t kept(const Digest& hash, std::uint64_t size) const;
  Result<void> read_kept(const Digest& hash, std::span<char> out) const;
  TensorWriter begin(const Digest& hash, std::uint64_t size, const Sink& sink,
                     std::uint64_t at_most = ~std::uint64_t{0});
  /// As TensorStore::flush.
  Result<void> flush();

  /// Null when there is none.
  TensorStore* store() { return store_.get(); }

 private:
  std::shared_ptr<LocalSource> local_;  ///< may be null
  std::unique_ptr<TensorStore> store_;  ///< may be null
  Error why_;
};

}  // namespace caravan::fabric
