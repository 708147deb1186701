#include "gateway/prompt_prefix.h"

#include <algorithm>

namespace caravan::gateway {
namespace {

constexpr std::uint64_t kPrime = 0x100000001b3U;  // FNV-1a, 64 bits

}  // namespace

std::size_t PromptPrefix::shared_with(const PromptPrefix& other) const {
  const auto [mine, theirs] =
      std::mismatch(blocks.begin(), blocks.end(), other.blocks.begin(), other.blocks.end());
  return static_cast<std::size_t>(mine - blocks.begin()) * kBlock;
}

void PromptHasher::add(std::string_view piece) {
  for (const char c : piece) add_byte(static_cast<unsigned char>(c));
  add_byte(0);
}

void PromptHasher::add_byte(unsigned char byte) {
  ++prefix_.bytes;
  if (prefix_.blocks.size() == PromptPrefix::kMostBlocks) return;
  hash_ = (hash_ ^ byte) * kPrime;
  if (++in_block_ < PromptPrefix::kBlock) return;
  prefix_.blocks.push_back(hash_);
  in_block_ = 0;
}

}  // namespace caravan::gateway
