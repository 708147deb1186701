// Frames that were changed, lost, doubled or swapped on their way are seen: the flags of each frame after the
// greeting are a checksum of its number in this direction, its header and its payload. It is no protection
// against somebody who means it; the tunnels are. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace caravan::fabric {

/// One direction of one connection. Not thread-safe.
class Seal {
 public:
  /// Fills in the flags of the frames in `bytes` from `from` on: whole ones, in the order in which they go.
  void put(std::string& bytes, std::size_t from);
  /// The flags that the next frame has to have; `header` is its header with flags of 0.
  std::uint16_t next(std::string_view header, std::string_view payload);

 private:
  std::uint32_t number_ = 0;
};

}  // namespace caravan::fabric
