// Where a worker takes the bytes of a tensor from: known by their SHA-256 only, and proven by it.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "fabric/store/digest.h"
#include "fabric/store/file_io.h"

namespace caravan::fabric {

/// Every function may be called by several threads at once.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// Whether it is here as far as can be told without reading it: a promise that read() may still break, when
  /// the disk has lost it or a file has changed. Takes microseconds.
  virtual bool has(const Digest& hash, std::uint64_t size) = 0;

  /// Fills `out`, whose size is the tensor's, and hashes what it has put there: on success `out` holds
  /// exactly the content that was asked for, whatever happens to the file meanwhile. Code::not_found when it
  /// is not (or no longer) here; then `out` may hold anything. Blocks while it reads.
  virtual Result<void> read(const Digest& hash, std::span<char> out) = 0;

  /// The same for those who want only parts of the tensor, or have no place for all of it: `sink` gets all of
  /// it, in order, and once more from zero when the first copy was a bad one. What the sink was given may be
  /// used only after this has succeeded.
  virtual Result<void> stream(const Digest& hash, std::uint64_t size, const Sink& sink) = 0;
};

}  // namespace caravan::fabric
