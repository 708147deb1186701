// Packs: many small tensors in one file, because making a file costs hundreds of times more than writing a
// small tensor (docs/decisions/0014). A pack is written by one process, once, from front to back.
// docs/fabric-store.md has the format.
#pragma once

#include <cstdint>
#include <vector>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/result.h"
#include "fabric/store/digest.h"

namespace caravan::fabric {

struct PackedTensor {
  Digest hash{};
  std::uint64_t size = 0;
  std::uint64_t offset = 0;  ///< of its bytes in the pack
};

/// Largest tensor that goes into a pack.
inline constexpr std::uint64_t kMaxPacked = 1U << 20U;
inline constexpr std::uint64_t kMaxPack = 256U << 20U;
inline constexpr std::size_t kMaxPackRecords = 65536;

/// What the headers in an open file say. Any content: it stops where something is not as it should be, as
/// behind a write that was cut. Blocks.
std::vector<PackedTensor> list_pack(int fd, std::uint64_t file_size);

/// Not for use by two threads at once.
class PackWriter {
 public:
  /// Makes the file and locks it for as long as this lives: so others see that it is still written.
  static Result<PackWriter> make(const fs::path& path);

  /// Writes one tensor, behind the others; of one that could not be written nothing stays.
  Result<PackedTensor> append(const Digest& hash, std::string_view bytes);
  bool is_full() const { return end_ >= kMaxPack || records_ >= kMaxPackRecords; }
  /// False when another process has dropped it, because something in it was damaged.
  bool is_there() const;
  const fs::path& path() const { return path_; }

 private:
  PackWriter(fs::path path, Descriptor file) : path_(std::move(path)), file_(std::move(file)) {}

  fs::path path_;
  Descriptor file_;
  std::uint64_t end_ = 0;
  std::size_t records_ = 0;
};

}  // namespace caravan::fabric
