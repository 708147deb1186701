// The device's own model files and its store as a worker's source of weights.
#pragma once

#include <atomic>
#include <thread>

#include "fabric/store/incoming.h"
#include "fabric/store/weights.h"
#include "fabric/worker/weights.h"

namespace caravan::fabric::worker {

class StoredWeights final : public WeightSource {
 public:
  /// `weights` must outlive this.
  explicit StoredWeights(Weights& weights) : weights_(weights), incoming_(weights) {}
  ~StoredWeights() override;

  bool has(const Content& content) override;
  Result<void> read(const Content& content, std::span<char> into) override;
  std::uint64_t kept(const Content& content) override;
  Result<void> read_kept(const Content& content, std::span<char> into) override;
  Result<void> keep(const Content& content, std::uint64_t offset, std::string_view bytes) override;
  Result<void> finish(const Content& content) override;
  void discard(const Content& content) override;
  /// Lets the disk take what was stored, on a thread of its own.
  void settle() override;

 private:
  Weights& weights_;
  Incoming incoming_;
  std::atomic<bool> flushing_{false};
  std::thread flusher_;
};

}  // namespace caravan::fabric::worker
