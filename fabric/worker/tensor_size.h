// How many bytes a tensor of a given type and shape takes, with every product checked: ggml's own functions
// trust their caller.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "fabric/wire/limits.h"

namespace caravan::fabric::worker {

/// Longest dimension: ggml's kernels count rows and columns in int.
constexpr std::int64_t kMaxDimension = (std::int64_t{1} << 31U) - 1;

/// True for a ggml_type that this engine has.
bool is_type(std::uint32_t type);

/// Bytes of a contiguous tensor; nothing for a type that is none, for a dimension below 0 or above
/// kMaxDimension, for part of a block in a row, and beyond kMaxBufferBytes.
std::optional<std::uint64_t> packed_size(std::uint32_t type, const std::array<std::int64_t, kDims>& ne);

/// Bytes from the first to the last that a tensor with these strides can touch, but at least packed_size.
/// Nothing in the cases of packed_size, and when strides are below the type's size, not aligned for it, or
/// beyond the limit.
std::optional<std::uint64_t> span(std::uint32_t type, const std::array<std::int64_t, kDims>& ne,
                                  const std::array<std::uint64_t, kDims>& nb);

/// Alignment in bytes that data of this type must have.
std::uint64_t alignment_of(std::uint32_t type);

}  // namespace caravan::fabric::worker
