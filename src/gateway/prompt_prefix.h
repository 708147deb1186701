// What can be told of a prompt without keeping it: whether another one begins alike, and how far. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace caravan::gateway {

/// Each hash is of all bytes up to the end of its block, so that equal hashes at one place mean equal
/// beginnings. This is how prefix-aware routers compare prompts (the inference gateway of llm-d, and with a
/// tree of text SGLang's cache-aware load balancer). Not meant against people who look for collisions: all
/// that they would gain is a slower answer.
struct PromptPrefix {
  static constexpr std::size_t kBlock = 256;  ///< bytes
  static constexpr std::size_t kMostBlocks = 1024;

  std::vector<std::uint64_t> blocks;  ///< of whole blocks; none of what is beyond kMostBlocks
  std::size_t bytes = 0;              ///< of the whole prompt

  /// Bytes that both begin with, in whole blocks.
  std::size_t shared_with(const PromptPrefix& other) const;
};

/// Takes the text of a prompt piece by piece.
class PromptHasher {
 public:
  /// Pieces are kept apart: "ab" and "c" is another prompt than "a" and "bc".
  void add(std::string_view piece);
  const PromptPrefix& prefix() const { return prefix_; }

 private:
  void add_byte(unsigned char byte);

  PromptPrefix prefix_;
  std::uint64_t hash_ = 0xcbf29ce484222325U;  // FNV-1a, 64 bits
  std::size_t in_block_ = 0;
};

}  // namespace caravan::gateway
