#include "fabric/store/weights.h"

namespace caravan::fabric {
namespace {

Error nowhere() { return Error{Code::not_found, "the tensor is not on this device", ""}; }

}  // namespace

bool Weights::has(const Digest& hash, std::uint64_t size) {
  return (local_ && local_->has(hash, size)) || (store_ && store_->has(hash, size));
}

Result<void> Weights::read(const Digest& hash, std::span<char> out) {
  if (local_ && local_->read(hash, out)) return {};
  return store_ ? store_->read(hash, out) : nowhere();
}

Result<void> Weights::stream(const Digest& hash, std::uint64_t size, const Sink& sink) {
  if (local_ && local_->stream(hash, size, sink)) return {};
  return store_ ? store_->stream(hash, size, sink) : nowhere();
}

std::uint64_t Weights::kept(const Digest& hash, std::uint64_t size) const {
  return store_ ? store_->kept(hash, size) : 0;
}

Result<void> Weights::read_kept(const Digest& hash, std::span<char> out) const {
  return store_ ? store_->read_kept(hash, out) : nowhere();
}

TensorWriter Weights::begin(const Digest& hash, std::uint64_t size, const Sink& sink, std::uint64_t at_most) {
  if (store_) return store_->begin(hash, size, sink, at_most);
  return {hash, size, why_};
}

Result<void> Weights::flush() { return store_ ? store_->flush() : Result<void>(); }

}  // namespace caravan::fabric
