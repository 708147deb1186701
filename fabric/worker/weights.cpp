#include "fabric/worker/weights.h"

#include <algorithm>
#include <cstdlib>

#include <openssl/evp.h>

namespace caravan::fabric::worker {
namespace {

Error not_there() { return {Code::not_found, "a weight is not in the store", ""}; }

}  // namespace

Hash hash_of(std::string_view bytes) {
  Hash hash{};
  unsigned size = 0;
  // Only a lack of memory can end here, and a made-up hash must not be compared with.
  if (EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr) != 1) std::abort();
  return hash;
}

Result<void> NoWeights::read(const Content&, std::span<char>) { return not_there(); }

bool WeightsInMemory::has(const Content& content) {
  const auto found = whole_.find(content.hash);
  return found != whole_.end() && found->second.size() == content.size;
}

Result<void> WeightsInMemory::read(const Content& content, std::span<char> into) {
  if (!has(content) || into.size() != content.size) return not_there();
  const std::string& bytes = whole_.at(content.hash);
  if (hash_of(bytes) != content.hash) return not_there();
  std::copy(bytes.begin(), bytes.end(), into.begin());
  return {};
}

std::uint64_t WeightsInMemory::kept(const Content& content) {
  const auto found = begun_.find(content.hash);
  return found != begun_.end() ? std::min<std::uint64_t>(found->second.size(), content.size) : 0;
}

Result<void> WeightsInMemory::read_kept(const Content& content, std::span<char> into) {
  const auto found = begun_.find(content.hash);
  if (found == begun_.end() || found->second.size() < into.size()) return not_there();
  std::copy_n(found->second.begin(), into.size(), into.begin());
  return {};
}

Result<void> WeightsInMemory::keep(const Content& content, std::uint64_t offset, std::string_view bytes) {
  std::string& begun = begun_[content.hash];
  if (begun.size() == offset) begun.append(bytes);
  return {};
}

Result<void> WeightsInMemory::finish(const Content& content) {
  const auto found = begun_.find(content.hash);
  if (found == begun_.end()) return {};
  whole_[content.hash] = std::move(found->second);
  begun_.erase(found);
  return {};
}

void WeightsInMemory::discard(const Content& content) { begun_.erase(content.hash); }

Content WeightsInMemory::add(std::string bytes) {
  const Content content{hash_of(bytes), bytes.size()};
  whole_[content.hash] = std::move(bytes);
  return content;
}

}  // namespace caravan::fabric::worker
