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

/// Of pieces that are no larger than a message.
std::size_t rows_at_once(const Pieces& pieces) { return kMaxChunk / pieces.size; }

/// `count` pieces from number `first` on, one after the other.
std::string gathered(const char* data, const Pieces& pieces, std::size_t first, std::size_t count) {
  std::string rows;
  rows.reserve(count * pieces.size);
  for (std::size_t i = first; i < first + count; ++i) rows.append(data + i * pieces.data_stride, pieces.size);
  return rows;
}

/// A whole weight, or a device's share of one that is split: for the worker that is a whole one too. The
/// pieces, of which `bytes` were gathered, are where the loader has them.
void set_weight(StageDevice& device, const ggml_tensor& tensor, const Region& region, std::string_view bytes,
                const char* data, const Pieces& pieces) {
  if (is_matrix(device, tensor, region)) say_layout(device, tensor, region);
  if (device.references != nullptr) {
    auto& references = *device.references;
    if (references.refer(device.stage, tensor, region, bytes)) return;
    const auto* const end = data + (pieces.copies - 1) * pieces.data_stride + pieces.size;
    const auto slice = references.slice_at(data, end, pieces.size, pieces.data_stride);
    if (slice && references.refer(device.stage, tensor, region, bytes, *slice)) return;
  }
  say_bytes(device, region.buffer, region.offset, bytes);
}

}  // namespace

void set_bytes(StageDevice& device, const ggml_tensor& tensor, const Region& region, const char* data) {
  memory_changes(device);
  const std::string_view bytes(data, region.size);
  if (is_whole_weight(tensor, region))
    return set_weight(device, tensor, region, bytes, data, {region.size, 1, region.size, region.size});
  needs_weights(device, region.buffer);
  say_bytes(device, region.buffer, region.offset, bytes);
}

void set_pieces(StageDevice& device, const ggml_tensor& tensor, const Region& region, const char* data,
                const Pieces& pieces) {
  memory_changes(device);
  if (pieces.stride == pieces.size && is_whole_weight(tensor, region)) {
    const auto bytes = gathered(data, pieces, 0, pieces.copies);
    return set_weight(device, tensor, region, bytes, data, pieces);
  }
  needs_weights(device, region.buffer);
  if (pieces.size > kMaxChunk || pieces.stride < pieces.size) {
    for (std::size_t i = 0; i < pieces.copies; ++i)
      say_bytes(device, region.buffer, region.offset + i * pieces.stride,
                {data + i * pieces.data_stride, pieces.size});
    return;
  }
  for (std::size_t first = 0; first < pieces.copies; first += rows_at_once(pieces)) {
    const auto count = std::min(rows_at_once(pieces), pieces.copies - first);
    const auto rows = gathered(data, pieces, first, count);
    device.streams.say(device.stage, SetRows{region.buffer, region.offset + first * pieces.stride,
                                             static_cast<std::uint32_t>(pieces.size), pieces.stride, rows});
  }
}

}  // namespace caravan::fabric
