#include "fabric/worker/stored_weights.h"

namespace caravan::fabric::worker {

StoredWeights::~StoredWeights() {
  if (flusher_.joinable()) flusher_.join();
}

bool StoredWeights::has(const Content& content) { return weights_.has(content.hash, content.size); }

Result<void> StoredWeights::read(const Content& content, std::span<char> into) {
  return weights_.read(content.hash, into);
}

std::uint64_t StoredWeights::kept(const Content& content) {
  return weights_.kept(content.hash, content.size);
}

Result<void> StoredWeights::read_kept(const Content& content, std::span<char> into) {
  return weights_.read_kept(content.hash, into);
}

Result<void> StoredWeights::keep(const Content& content, std::uint64_t offset, std::string_view bytes) {
  incoming_.keep(content.hash, content.size, offset, bytes);
  return {};
}

Result<void> StoredWeights::finish(const Content& content) { return incoming_.finish(content.hash); }

void StoredWeights::discard(const Content& content) { incoming_.discard(content.hash); }

void StoredWeights::settle() {
  if (flushing_.exchange(true)) return;
  if (flusher_.joinable()) flusher_.join();
  flusher_ = std::thread([this] {
    (void)weights_.flush();
    flushing_ = false;
  });
}

}  // namespace caravan::fabric::worker
