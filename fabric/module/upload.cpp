#include "fabric/module/upload.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace caravan::fabric {
namespace {

void say_bytes(StageDevice& device, std::uint32_t buffer, std::uint64_t offset, std::string_view bytes) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kMaxChunk))) {
    const auto chunk = bytes.substr(0, kMaxChunk);
    device.streams.say(device.stage, Set{buffer, offset, chunk});
    offset += chunk.size();
  }
}

bool is_whole_weight(const ggml_tensor& tensor, const Region& region) {
  const bool weights = tensor.buffer != nullptr && tensor.buffer->usage == GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
  return weights && tensor.view_src == nullptr && region.size == ggml_nbytes(&tensor);
}

/// A whole weight that is used for nothing but matrix products: the worker may keep it in a layout of its
/// own.
bool is_matrix(StageDevice& device, const ggml_tensor& tensor, const Region& region) {
  if (!is_whole_weight(tensor, region)) return false;
  const std::lock_guard guard(device.lock);
  return device.matrices.contains(tensor.name) && !device.others.contains(tensor.name);
}

void say_layout(StageDevice& device, const ggml_tensor& tensor, const Region& region) {
  Layout layout{region.buffer, region.offset, static_cast<std::uint32_t>(tensor.type), {}};
  std::copy_n(tensor.ne, kDims, layout.ne.begin());
  device.streams.say(device.stage, layout);
}

std::size_t rows_at_once(const Pieces& pieces) { return std::max<std::size_t>(1, kMaxChunk / pieces.size); }

/// The pieces from number `first` on, one after the other: as many as go into one message, at least one.
std::string gathered(const char* data, const Pieces& pieces, std::size_t first) {
  const auto count = std::min(rows_at_once(pieces), pieces.copies - first);
  std::string rows;
  rows.reserve(count * pieces.size);
  for (std::size_t i = first; i < first + count; ++i) rows.append(data + i * pieces.data_stride, pieces.size);
  return rows;
}

}  // namespace

void set_bytes(StageDevice& device, const ggml_tensor& tensor, const Region& region, const char* data) {
  memory_changes(device);
  if (is_matrix(device, tensor, region)) say_layout(device, tensor, region);
  const std::string_view bytes(data, region.size);
  const bool whole = is_whole_weight(tensor, region);
  if (whole && device.references != nullptr && device.references->refer(device.stage, tensor, region, bytes))
    return;
  if (!whole) needs_weights(device, region.buffer);
  say_bytes(device, region.buffer, region.offset, bytes);
}

void set_pieces(StageDevice& device, const ggml_tensor& tensor, const Region& region, const char* data,
                const Pieces& pieces) {
  // Slices of weights that are split between devices come so: the worker may keep them as it does whole ones.
  if (pieces.stride == pieces.size && is_matrix(device, tensor, region)) {
    memory_changes(device);
    say_layout(device, tensor, region);
    for (std::size_t i = 0; i < pieces.copies; i += rows_at_once(pieces)) {
      const auto rows = gathered(data, pieces, i);
      say_bytes(device, region.buffer, region.offset + i * pieces.size, rows);
    }
    return;
  }
  memory_changes(device);
  needs_weights(device, region.buffer);
  if (pieces.size > kMaxChunk || pieces.stride < pieces.size) {
    for (std::size_t i = 0; i < pieces.copies; ++i)
      say_bytes(device, region.buffer, region.offset + i * pieces.stride,
                {data + i * pieces.data_stride, pieces.size});
    return;
  }
  for (std::size_t first = 0; first < pieces.copies; first += rows_at_once(pieces)) {
    const auto rows = gathered(data, pieces, first);
    device.streams.say(device.stage, SetRows{region.buffer, region.offset + first * pieces.stride,
                                             static_cast<std::uint32_t>(pieces.size), pieces.stride, rows});
  }
}

}  // namespace caravan::fabric
