#include "fabric/worker/tensor_size.h"

#include <algorithm>

#include <ggml.h>

namespace caravan::fabric::worker {
namespace {

/// a * b, or nothing beyond the limit of a buffer.
std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  if (a != 0 && b > kMaxBufferBytes / a) return std::nullopt;
  return a * b;
}

}  // namespace

bool is_type(std::uint32_t type) {
  // Numbers that were taken out of use have blocks of 0 values.
  return type < GGML_TYPE_COUNT && ggml_blck_size(static_cast<ggml_type>(type)) > 0 &&
         ggml_type_size(static_cast<ggml_type>(type)) > 0;
}

std::uint64_t alignment_of(std::uint32_t type) {
  switch (type) {
    case GGML_TYPE_I64:
    case GGML_TYPE_F64:
      return 8;
    case GGML_TYPE_F32:
    case GGML_TYPE_I32:
      return 4;
    case GGML_TYPE_I8:
      return 1;
    default:
      // Blocks begin with halves, or are looked at byte by byte.
      return ggml_type_size(static_cast<ggml_type>(type)) % 2 == 0 ? 2 : 1;
  }
}

std::optional<std::uint64_t> packed_size(std::uint32_t type, const std::array<std::int64_t, kDims>& ne) {
  if (!is_type(type)) return std::nullopt;
  const auto block = static_cast<std::int64_t>(ggml_blck_size(static_cast<ggml_type>(type)));
  for (const std::int64_t n : ne) {
    if (n < 0 || n > kMaxDimension) return std::nullopt;
  }
  if (ne[0] % block != 0) return std::nullopt;
  std::optional<std::uint64_t> size =
      product(static_cast<std::uint64_t>(ne[0] / block), ggml_type_size(static_cast<ggml_type>(type)));
  for (std::size_t i = 1; i < ne.size() && size; ++i)
    size = product(*size, static_cast<std::uint64_t>(ne.at(i)));
  return size;
}

std::optional<std::uint64_t> span(std::uint32_t type, const std::array<std::int64_t, kDims>& ne,
                                  const std::array<std::uint64_t, kDims>& nb) {
  const auto packed = packed_size(type, ne);
  if (!packed) return std::nullopt;
  const std::uint64_t type_size = ggml_type_size(static_cast<ggml_type>(type));
  const bool blocks = ggml_blck_size(static_cast<ggml_type>(type)) > 1;
  const std::uint64_t aligned = alignment_of(type);
  for (std::size_t i = 0; i < nb.size(); ++i) {
    if (nb.at(i) % aligned != 0 || nb.at(i) > kMaxBufferBytes) return std::nullopt;
    // Rows of nothing are no bytes apart: so are the slices of a device that gets none of a split tensor.
    if (nb.at(i) < type_size && ne.at(i) > 1 && *packed != 0) return std::nullopt;
  }
  if (blocks && nb[0] != type_size) return std::nullopt;
  if (*packed == 0) return 0;
  std::uint64_t last = blocks ? *packed / static_cast<std::uint64_t>(ne[1] * ne[2] * ne[3]) : type_size;
  for (std::size_t i = blocks ? 1 : 0; i < ne.size(); ++i) {
    const auto reach = product(static_cast<std::uint64_t>(ne.at(i) - 1), nb.at(i));
    if (!reach || last > kMaxBufferBytes - *reach) return std::nullopt;
    last += *reach;
  }
  return std::max(last, *packed);
}

}  // namespace caravan::fabric::worker
