// Buffers in a worker's memory, as ggml's interface wants them.
#include <algorithm>
#include <cstring>
#include <limits>

#include "fabric/module/device.h"
#include "fabric/module/upload.h"

namespace caravan::fabric {
namespace {

StageDevice& device_of(ggml_backend_buffer_type_t type) { return *static_cast<StageDevice*>(type->context); }

void free_buffer(ggml_backend_buffer_t buffer) {
  auto* const mine = static_cast<RemoteBuffer*>(buffer->context);
  auto& device = mine->owner;
  memory_changes(device);
  if (device.references != nullptr) device.references->forget_buffer(device.stage, mine->number);
  device.streams.say(device.stage, Free{mine->number});
  {
    const std::lock_guard guard(device.lock);
    device.graphs.forget_buffer(mine->number);
    device.buffer_numbers.erase(mine->number);
  }
  delete mine;
}

void* base_of_buffer(ggml_backend_buffer_t buffer) {
  return static_cast<RemoteBuffer*>(buffer->context)->range.base();
}

void memset_tensor(ggml_backend_buffer_t buffer, ggml_tensor* tensor, std::uint8_t value, std::size_t offset,
                   std::size_t size) {
  auto& device = remote_buffer(buffer)->owner;
  const auto region = region_of(*tensor, offset, size);
  if (!region) return device.streams.fail(device.stage, "a tensor was filled that is not in its memory");
  memory_changes(device);
  needs_weights(device, region->buffer);
  device.streams.say(device.stage, Fill{*region, value});
}

void set_tensor(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, std::size_t offset,
                std::size_t size) {
  auto& device = remote_buffer(buffer)->owner;
  const auto region = region_of(*tensor, offset, size);
  if (!region) return device.streams.fail(device.stage, "a tensor was set that is not in its memory");
  set_bytes(device, *tensor, *region, static_cast<const char*>(data));
}

void get_tensor(ggml_backend_buffer_t buffer, const ggml_tensor* tensor, void* data, std::size_t offset,
                std::size_t size) {
  auto& device = remote_buffer(buffer)->owner;
  const auto region = region_of(*tensor, offset, size);
  if (!region) {
    std::memset(data, 0, size);
    return device.streams.fail(device.stage, "a tensor was read that is not in its memory");
  }
  read_region(device, *tensor, *region, static_cast<char*>(data), false);
}

std::size_t span_of(std::size_t size, std::size_t copies, std::size_t stride) {
  return copies == 0 ? 0 : (copies - 1) * stride + size;
}

void set_tensor_2d(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, std::size_t offset,
                   std::size_t size, std::size_t copies, std::size_t stride, std::size_t data_stride) {
  auto& device = remote_buffer(buffer)->owner;
  const auto region = region_of(*tensor, offset, span_of(size, copies, stride));
  if (!region) return device.streams.fail(device.stage, "a tensor was set that is not in its memory");
  if (size > 0 && copies > 0)
    set_pieces(device, *tensor, *region, static_cast<const char*>(data), {size, copies, stride, data_stride});
}

void get_tensor_2d(ggml_backend_buffer_t buffer, const ggml_tensor* tensor, void* data, std::size_t offset,
                   std::size_t size, std::size_t copies, std::size_t stride, std::size_t data_stride) {
  auto& device = remote_buffer(buffer)->owner;
  const auto region = region_of(*tensor, offset, span_of(size, copies, stride));
  if (region && stride == size && size > 0) {
    // A device's share of results: read, and read ahead, as one that is read as a whole.
    std::string rows(region->size, '\0');
    read_region(device, *tensor, *region, rows.data(), false);
    for (std::size_t i = 0; i < copies; ++i)
      std::memcpy(static_cast<char*>(data) + i * data_stride, rows.data() + i * size, size);
    return;
  }
  if (region) needs_weights(device, region->buffer);
  for (std::size_t i = 0; i < copies && size > 0; ++i) {
    char* const to = static_cast<char*>(data) + i * data_stride;
    if (region)
      device.streams.ask(device.stage, {region->buffer, region->offset + i * stride, size}, to);
    else
      std::memset(to, 0, size);
  }
  if (region)
    device.streams.wait_for_reads(device.stage);
  else
    device.streams.fail(device.stage, "a tensor was read that is not in its memory");
}

/// Only inside one worker; ggml copies through this process when the answer is no.
bool copy_tensor(ggml_backend_buffer_t buffer, const ggml_tensor* from, ggml_tensor* to) {
  auto& device = remote_buffer(buffer)->owner;
  auto* const source = remote_buffer_of(*from);
  if (source == nullptr || &source->owner != &device) return false;
  const auto source_region = region_of(*from, 0, ggml_nbytes(from));
  const auto region = region_of(*to, 0, ggml_nbytes(to));
  if (!source_region || !region || source_region->size != region->size) return false;
  if (region->size == 0) return true;
  memory_changes(device);
  needs_weights(device, source_region->buffer);
  needs_weights(device, region->buffer);
  device.streams.say(device.stage, Copy{*source_region, region->buffer, region->offset});
  return true;
}

void clear(ggml_backend_buffer_t buffer, std::uint8_t value) {
  auto* const mine = remote_buffer(buffer);
  memory_changes(mine->owner);
  needs_weights(mine->owner, mine->number);
  mine->owner.streams.say(mine->owner.stage, Fill{{mine->number, 0, mine->range.size()}, value});
}

constexpr ggml_backend_buffer_i kBufferInterface = {
    .free_buffer = free_buffer,
    .get_base = base_of_buffer,
    .init_tensor = nullptr,
    .memset_tensor = memset_tensor,
    .set_tensor = set_tensor,
    .get_tensor = get_tensor,
    .set_tensor_2d = set_tensor_2d,
    .get_tensor_2d = get_tensor_2d,
    .cpy_tensor = copy_tensor,
    .clear = clear,
    .reset = nullptr,
};

const char* type_name(ggml_backend_buffer_type_t type) { return device_of(type).name.c_str(); }

bool has_split(StageDevice& device) {
  const std::lock_guard guard(device.lock);
  return device.splits;
}

std::uint32_t free_number(StageDevice& device) {
  const std::lock_guard guard(device.lock);
  std::uint32_t number = 0;
  for (const auto used : device.buffer_numbers) {
    if (used != number) break;
    ++number;
  }
  device.buffer_numbers.insert(number);
  return number;
}

ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, std::size_t size) {
  auto& device = device_of(type);
  // Where tensors are split ggml aborts when it gets no buffer. What is computed in this one fails.
  if (device.streams.failed() && !has_split(device)) return nullptr;
  auto range = AddressRange::reserve(size);
  if (!range) return nullptr;
  const auto number = free_number(device);
  device.streams.say(device.stage, Alloc{number, size});
  // Here an error can be told, and it is not on the way of a token: so this waits.
  if (!device.streams.settle(device.stage) && !has_split(device)) return nullptr;
  auto* const mine = new RemoteBuffer{device, number, std::move(*range)};
  return ggml_backend_buffer_init(type, kBufferInterface, mine, size);
}

std::size_t alignment(ggml_backend_buffer_type_t type) {
  const auto& device = device_of(type);
  return device.streams.device(device.stage).alignment;
}

std::size_t max_size(ggml_backend_buffer_type_t type) {
  const auto& device = device_of(type);
  const auto largest = device.streams.device(device.stage).max_buffer;
  return std::min<std::uint64_t>(largest == 0 ? kMaxBufferBytes : largest, kMaxBufferBytes);
}

}  // namespace

RemoteBuffer* remote_buffer(ggml_backend_buffer_t buffer) {
  const bool mine = buffer != nullptr && buffer->iface.free_buffer == free_buffer;
  return mine ? static_cast<RemoteBuffer*>(buffer->context) : nullptr;
}

RemoteBuffer* remote_buffer_of(const ggml_tensor& tensor) {
  return remote_buffer(tensor.view_src != nullptr ? tensor.view_src->buffer : tensor.buffer);
}

std::optional<Region> region_of(const ggml_tensor& tensor, std::size_t offset, std::size_t size) {
  auto* const buffer = remote_buffer_of(tensor);
  if (buffer == nullptr || tensor.data == nullptr) return {};
  const auto start = buffer->range.offset_of(tensor.data, 0);
  if (!start || offset > buffer->range.size() - *start || size > buffer->range.size() - *start - offset)
    return {};
  return Region{buffer->number, *start + offset, size};
}

ggml_backend_buffer_type_i buffer_type_interface() {
  return {.get_name = type_name,
          .alloc_buffer = alloc_buffer,
          .get_alignment = alignment,
          .get_max_size = max_size,
          .get_alloc_size = nullptr,
          .is_host = nullptr};
}

}  // namespace caravan::fabric
