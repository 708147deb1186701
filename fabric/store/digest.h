// SHA-256 of tensors: what a tensor is known by, whatever its name.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace caravan::fabric {

using Digest = std::array<std::uint8_t, 32>;

/// 64 lower-case hex digits.
std::string hex(const Digest& digest);
/// The reverse of hex(); nothing for any other text.
std::optional<Digest> parse_digest(std::string_view text);

/// For std::unordered_map: the digest's own first bytes are as good as any hash of them.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
  }
};

/// SHA-256 of what streams by. Not for use by two threads at once.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  /// Of all that went in so far; nothing may follow.
  Digest finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

Digest digest_of(std::string_view bytes);

}  // namespace caravan::fabric
