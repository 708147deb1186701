// The buffers of one master on this device: their bytes, and the whole weights in them that are kept
// repacked.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ggml.h>

#include "fabric/wire/graph.h"
#include "fabric/wire/messages.h"
#include "fabric/worker/device.h"

namespace caravan::fabric::worker {

/// A whole weight that a LAYOUT has declared. Its bytes come in order, from its beginning.
struct LaidOutWeight {
  ggml_tensor tensor{};        ///< in the kind of memory that it is kept in
  std::uint64_t size = 0;      ///< bytes
  std::uint64_t received = 0;  ///< bytes
  std::vector<char> staged;    ///< what has come, until it is whole
  bool whole() const { return received == size; }
};

/// Not thread-safe. Each function that takes an offset and a size checks them.
class Memory {
 public:
  /// `limit`: bytes of all buffers together, 0: what the device has.
  Memory(const ComputeDevice& device, std::uint64_t limit);

  Result<void> allocate(std::uint32_t number, std::uint64_t size);
  Result<void> free(std::uint32_t number);
  /// Declares that a whole weight lies there; keeps it repacked where the device is faster so.
  Result<void> lay_out(std::uint32_t number, std::uint64_t offset, std::uint32_t type,
                       const std::array<std::int64_t, kDims>& ne);

  Result<void> set(std::uint32_t number, std::uint64_t offset, std::string_view data);
  Result<void> set_rows(const SetRows& rows);
  Result<void> fill(const Region& region, std::uint8_t value);
  Result<void> copy(const Copy& copy);
  /// Calls `take(bytes)` with all of the region, in pieces of at most kMaxChunk bytes.
  template <typename Take>
  Result<void> get(const Region& region, Take take) const {
    if (const auto there = readable(region); !there) return there.error();
    std::string piece;
    for (std::uint64_t done = 0; done < region.size;) {
      piece.resize(std::min<std::uint64_t>(region.size - done, kMaxChunk));
      read(region.buffer, region.offset + done, piece.data(), piece.size());
      if (const Result<void> taken = take(std::string_view(piece)); !taken) return taken.error();
      done += piece.size();
    }
    return {};
  }

  /// Fails when the region is not all in its buffer.
  Result<void> check(const Region& region) const;
  /// As check, and nothing in it is repacked.
  Result<void> readable(const Region& region) const;
  ggml_backend_buffer_t buffer(std::uint32_t number) const;
  /// The first byte of a region that was checked.
  void* address(std::uint32_t number, std::uint64_t offset) const;
  /// The repacked weight that begins exactly there, null if none does. A region that touches one in another
  /// way is not readable().
  const ggml_tensor* repacked_at(std::uint32_t number, std::uint64_t offset) const;

  std::uint64_t held() const { return held_; }
  /// Changes whenever a weight in this buffer gets or loses its layout: graphs made before are void.
  std::uint64_t generation(std::uint32_t number) const;

 private:
  using Weights = std::map<std::uint64_t, LaidOutWeight>;  // by offset; they do not overlap
  struct Buffer {
    BufferHandle handle;
    std::uint64_t size = 0;
    std::uint64_t generation = 0;
    Weights weights;
  };

  /// The first weight that overlaps the range, or end().
  static Weights::const_iterator overlapping(const Weights& weights, std::uint64_t offset,
                                             std::uint64_t size);
  /// Makes way for a write of other bytes: layouts that it covers are gone; fails when it covers part of one.
  Result<void> prepare_write(const Region& region);
  Result<void> receive(LaidOutWeight& weight, std::uint64_t offset, std::string_view data);
  void write(std::uint32_t number, std::uint64_t offset, std::string_view data);
  void read(std::uint32_t number, std::uint64_t offset, char* into, std::size_t size) const;

  const ComputeDevice& device_;
  std::uint64_t limit_;
  std::uint64_t held_ = 0;
  std::uint64_t last_generation_ = 0;
  std::map<std::uint32_t, Buffer> buffers_;
};

}  // namespace caravan::fabric::worker
