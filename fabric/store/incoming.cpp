#include "fabric/store/incoming.h"

#include <algorithm>

namespace caravan::fabric {
namespace {

/// Each has a file open; they come one after the other, so that there is rarely more than one.
constexpr std::size_t kMaxBegun = 16;

}  // namespace

std::list<Incoming::Begun>::iterator Incoming::find(const Digest& hash) {
  return std::find_if(begun_.begin(), begun_.end(), [&](const Begun& each) { return each.hash == hash; });
}

void Incoming::keep(const Digest& hash, std::uint64_t size, std::uint64_t offset, std::string_view bytes) {
  auto found = find(hash);
  if (found == begun_.end()) {
    if (begun_.size() >= kMaxBegun) begun_.pop_front();  // its part stays
    begun_.push_back({hash, weights_.begin(hash, size, {}, offset)});
    found = std::prev(begun_.end());
  }
  if (found->writer.offset() == offset && found->writer.append(bytes)) return;
  begun_.erase(found);
}

Result<void> Incoming::finish(const Digest& hash) {
  const auto found = find(hash);
  if (found == begun_.end()) return {};
  auto finished = found->writer.finish();
  begun_.erase(found);
  return finished;
}

void Incoming::discard(const Digest& hash) {
  const auto found = find(hash);
  if (found == begun_.end()) return;
  found->writer.discard();
  begun_.erase(found);
}

}  // namespace caravan::fabric
