#include "fabric/worker/memory.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <ggml-backend-impl.h>

#include "fabric/worker/tensor_size.h"

namespace caravan::fabric::worker {
namespace {

Error no_buffer(std::uint32_t number) {
  return {Code::not_found, fmt::format("there is no buffer {}", number), "update Caravan on the master"};
}

/// `size` bytes of a buffer as a tensor, which is what ggml reads and writes.
ggml_tensor bytes_as_tensor(ggml_backend_buffer_t buffer, std::uint64_t offset, std::uint64_t size) {
  ggml_tensor tensor{};
  tensor.type = GGML_TYPE_I8;
  tensor.buffer = buffer;
  tensor.ne[0] = static_cast<std::int64_t>(size);
  tensor.ne[1] = tensor.ne[2] = tensor.ne[3] = 1;
  tensor.nb[0] = 1;
  tensor.nb[1] = tensor.nb[2] = tensor.nb[3] = size;
  tensor.data = static_cast<char*>(ggml_backend_buffer_get_base(buffer)) + offset;
  return tensor;
}

}  // namespace

Memory::Memory(const ComputeDevice& device, std::uint64_t limit)
    : device_(device), limit_(limit != 0 ? limit : device.memory().second) {}

Result<void> Memory::allocate(std::uint32_t number, std::uint64_t size) {
  if (number == kNoBuffer || buffers_.count(number) != 0)
    return Error{Code::invalid, fmt::format("there is a buffer {} already", number),
                 "update Caravan on the master"};
  if (buffers_.size() >= kMaxBuffers)
    return Error{Code::exhausted, fmt::format("more than {} buffers", kMaxBuffers), "load fewer models"};
  if (size > limit_ - held_)
    return Error{Code::exhausted,
                 fmt::format("{} bytes are wanted, {} of {} are free", size, limit_ - held_, limit_),
                 "give this stage fewer layers or a shorter context"};
  auto handle = device_.allocate(size);
  if (!handle) return handle.error();
  Buffer& buffer = buffers_[number];
  buffer.handle = std::move(*handle);
  buffer.size = size;
  buffer.generation = ++last_generation_;
  held_ += size;
  return {};
}

Result<void> Memory::free(std::uint32_t number) {
  const auto found = buffers_.find(number);
  if (found == buffers_.end()) return no_buffer(number);
  held_ -= found->second.size;
  buffers_.erase(found);
  return {};
}

Result<void> Memory::check(const Region& region) const {
  const auto found = buffers_.find(region.buffer);
  if (found == buffers_.end()) return no_buffer(region.buffer);
  const std::uint64_t size = found->second.size;
  if (region.offset <= size && region.size <= size - region.offset) return {};
  return Error{Code::invalid,
               fmt::format("{} bytes from {} are not all in buffer {}, which has {}", region.size,
                           region.offset, region.buffer, size),
               "update Caravan on the master"};
}

Memory::Weights::const_iterator Memory::overlapping(const Weights& weights, std::uint64_t offset,
                                                    std::uint64_t size) {
  auto next = weights.upper_bound(offset);
  if (next != weights.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.size > offset) return before;
  }
  return next != weights.end() && next->first < offset + size ? next : weights.end();
}

Result<void> Memory::readable(const Region& region) const {
  if (const auto there = check(region); !there) return there.error();
  const Weights& weights = buffers_.at(region.buffer).weights;
  if (region.size == 0 || overlapping(weights, region.offset, region.size) == weights.end()) return {};
  return Error{Code::invalid,
               fmt::format("the bytes at {} in buffer {} are kept repacked", region.offset, region.buffer),
               "a weight with a LAYOUT is only for matrix products"};
}

ggml_backend_buffer_t Memory::buffer(std::uint32_t number) const {
  const auto found = buffers_.find(number);
  return found != buffers_.end() ? found->second.handle.get() : nullptr;
}

void* Memory::address(std::uint32_t number, std::uint64_t offset) const {
  return static_cast<char*>(ggml_backend_buffer_get_base(buffers_.at(number).handle.get())) + offset;
}

const ggml_tensor* Memory::repacked_at(std::uint32_t number, std::uint64_t offset) const {
  const auto buffer = buffers_.find(number);
  if (buffer == buffers_.end()) return nullptr;
  const auto found = buffer->second.weights.find(offset);
  if (found == buffer->second.weights.end() || !found->second.whole()) return nullptr;
  return &found->second.tensor;
}

std::uint64_t Memory::generation(std::uint32_t number) const {
  const auto found = buffers_.find(number);
  return found != buffers_.end() ? found->second.generation : 0;
}

Result<void> Memory::lay_out(std::uint32_t number, std::uint64_t offset, std::uint32_t type,
                             const std::array<std::int64_t, kDims>& ne) {
  const auto size = packed_size(type, ne);
  if (!size || *size == 0)
    return Error{Code::invalid, "a layout of a tensor that cannot be", "update Caravan on the master"};
  const Region region{number, offset, *size};
  if (const auto there = check(region); !there) return there.error();
  if (const auto free = prepare_write(region); !free) return free.error();
  const auto kind = static_cast<ggml_type>(type);
  ggml_backend_buffer_t repacked = device_.repacked_kind(kind, ne.data());
  const std::size_t aligned = ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(device_.handle()));
  if (repacked == nullptr || offset % aligned != 0) return {};
  LaidOutWeight weight;
  weight.tensor.type = kind;
  weight.tensor.buffer = repacked;
  std::copy(ne.begin(), ne.end(), weight.tensor.ne);
  weight.tensor.nb[0] = ggml_type_size(kind);
  weight.tensor.nb[1] = ggml_row_size(kind, ne[0]);
  weight.tensor.nb[2] = weight.tensor.nb[1] * static_cast<std::size_t>(ne[1]);
  weight.tensor.nb[3] = weight.tensor.nb[2] * static_cast<std::size_t>(ne[2]);
  weight.tensor.data = address(number, offset);
  weight.size = *size;
  if (ggml_backend_buffer_init_tensor(repacked, &weight.tensor) != GGML_STATUS_SUCCESS ||
      weight.tensor.extra == nullptr)
    return {};
  Buffer& buffer = buffers_.at(number);
  buffer.weights.emplace(offset, std::move(weight));
  buffer.generation = ++last_generation_;
  return {};
}

Result<void> Memory::prepare_write(const Region& region) {
  Buffer& buffer = buffers_.at(region.buffer);
  while (region.size > 0) {
    const auto found = overlapping(buffer.weights, region.offset, region.size);
    if (found == buffer.weights.end()) return {};
    if (found->first < region.offset || found->first + found->second.size > region.offset + region.size)
      return Error{Code::invalid,
                   fmt::format("part of the repacked weight at {} in buffer {} would be changed",
                               found->first, region.buffer),
                   "a weight with a LAYOUT is set as a whole"};
    buffer.weights.erase(found);
    buffer.generation = ++last_generation_;
  }
  return {};
}

Result<void> Memory::receive(LaidOutWeight& weight, std::uint64_t offset, std::string_view data) {
  if (offset == 0 && weight.whole()) weight.received = 0;
  if (offset != weight.received || data.size() > weight.size - offset)
    return Error{Code::invalid, "a weight with a layout does not come in order",
                 "update Caravan on the master"};
  weight.staged.insert(weight.staged.end(), data.begin(), data.end());
  weight.received += data.size();
  if (!weight.whole()) return {};
  ggml_backend_tensor_set(&weight.tensor, weight.staged.data(), 0, weight.staged.size());
  weight.staged = {};
  return {};
}

Result<void> Memory::set(std::uint32_t number, std::uint64_t offset, std::string_view data) {
  const Region region{number, offset, data.size()};
  if (const auto there = check(region); !there) return there.error();
  if (data.empty()) return {};
  Weights& weights = buffers_.at(number).weights;
  const auto found = overlapping(weights, offset, data.size());
  if (found != weights.end() && offset >= found->first &&
      data.size() <= found->second.size - (offset - found->first))
    return receive(weights.at(found->first), offset - found->first, data);
  if (const auto free = prepare_write(region); !free) return free.error();
  write(number, offset, data);
  return {};
}

Result<void> Memory::set_rows(const SetRows& rows) {
  const std::uint64_t count = rows.data.size() / rows.row_bytes;
  if (count == 0) return {};
  // Both factors are limited by the message, so that the product is below 2^60.
  const Region region{rows.buffer, rows.offset, (count - 1) * rows.stride + rows.row_bytes};
  if (const auto there = readable(region); !there) return there.error();
  for (std::uint64_t i = 0; i < count; ++i)
    write(rows.buffer, rows.offset + i * rows.stride, rows.data.substr(i * rows.row_bytes, rows.row_bytes));
  return {};
}

Result<void> Memory::fill(const Region& region, std::uint8_t value) {
  if (const auto there = check(region); !there) return there.error();
  if (const auto free = prepare_write(region); !free) return free.error();
  if (region.size == 0) return {};
  ggml_tensor tensor = bytes_as_tensor(buffer(region.buffer), region.offset, region.size);
  ggml_backend_tensor_memset(&tensor, value, 0, region.size);
  return {};
}

Result<void> Memory::copy(const Copy& copy) {
  const Region to{copy.buffer, copy.offset, copy.from.size};
  if (const auto there = readable(copy.from); !there) return there.error();
  if (const auto there = check(to); !there) return there.error();
  if (const auto free = prepare_write(to); !free) return free.error();
  if (ggml_backend_buffer_is_host(buffer(copy.from.buffer)) &&
      ggml_backend_buffer_is_host(buffer(copy.buffer))) {
    if (to.size > 0)
      std::memmove(address(to.buffer, to.offset), address(copy.from.buffer, copy.from.offset), to.size);
    return {};
  }
  // They may overlap: all of it is read before any of it is written.
  std::string bytes(to.size, '\0');
  read(copy.from.buffer, copy.from.offset, bytes.data(), bytes.size());
  write(to.buffer, to.offset, bytes);
  return {};
}

void Memory::write(std::uint32_t number, std::uint64_t offset, std::string_view data) {
  if (data.empty()) return;
  ggml_tensor tensor = bytes_as_tensor(buffer(number), offset, data.size());
  ggml_backend_tensor_set(&tensor, data.data(), 0, data.size());
}

void Memory::read(std::uint32_t number, std::uint64_t offset, char* into, std::size_t size) const {
  if (size == 0) return;
  const ggml_tensor tensor = bytes_as_tensor(buffer(number), offset, size);
  ggml_backend_tensor_get(&tensor, into, 0, size);
}

}  // namespace caravan::fabric::worker
