// How the bytes of weights travel when they are sent: plain weights (F32, F16, BF16) take an eighth to a
// third less time over Wi-Fi when their exponents are coded shorter, quantized ones gain nothing worth its
// work (docs/decisions/0015). docs/fabric-store.md has the format.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caravan::fabric {

/// Bytes of one value of a type that is worth packing: 4 or 2; nothing for all others.
std::optional<unsigned> packed_width(std::uint32_t ggml_type);

/// Most bytes that are packed as one.
inline constexpr std::size_t kMaxPackedChunk = std::size_t{4} << 20U;

/// `bytes` (at most kMaxPackedChunk) in fewer bytes; nothing when that is not at least a sixteenth less: then
/// they travel as they are. Takes some milliseconds a MiB; any thread.
std::optional<std::string> pack(std::string_view bytes, unsigned width);

/// The reverse, for any `packed`: fills `out`, whose size the receiver knows from elsewhere, and never writes
/// beyond it. Code::invalid when `packed` holds fewer or more bytes than that, or is damaged. A damage that
/// shows only in the content is found out by the tensor's hash.
Result<void> unpack(std::string_view packed, unsigned width, std::span<char> out);

}  // namespace caravan::fabric
