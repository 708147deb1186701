// The few cryptographic and textual primitives of the link, on OpenSSL. Pure but for random_bytes; nothing
// blocks. Failures of OpenSSL that only exhausted memory or a broken installation can cause throw
// std::runtime_error.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace caravan::link {

using Hash = std::array<std::uint8_t, 32>;
using ByteView = std::span<const std::uint8_t>;

/// The same bytes as text, and text as bytes; both borrow.
std::string_view text_of(ByteView bytes);
ByteView bytes_of(std::string_view text);

Hash sha256(std::string_view bytes);
/// RFC 2104 with SHA-256.
Hash hmac_sha256(std::string_view key, std::string_view message);
/// From the operating system's generator by way of OpenSSL's.
std::string random_bytes(std::size_t count);
/// Takes as long whether and wherever they differ; only the lengths are not secret.
bool same_secret(std::string_view a, std::string_view b);
/// Overwrites a secret before its memory is given back.
void wipe(std::string& secret);

/// Lower-case hex; the reverse takes nothing else.
std::string hex(ByteView bytes);
std::optional<std::string> from_hex(std::string_view text);
/// RFC 4648 base32 in lower case without padding; the reverse takes either case, and no stray last bits.
std::string base32(ByteView bytes);
std::optional<std::string> from_base32(std::string_view text);

/// Bytes of an exact length as an array, else nothing.
template <std::size_t Size>
std::optional<std::array<std::uint8_t, Size>> exactly(const std::optional<std::string>& bytes) {
  if (!bytes || bytes->size() != Size) return std::nullopt;
  std::array<std::uint8_t, Size> array{};
  for (std::size_t i = 0; i < Size; ++i) array[i] = static_cast<std::uint8_t>((*bytes)[i]);
  return array;
}

}  // namespace caravan::link
