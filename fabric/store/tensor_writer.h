// One tensor that is being received: verified in any case, stored if possible.
#pragma once

#include <optional>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "fabric/store/digest.h"
#include "fabric/store/file_io.h"

namespace caravan::fabric {

class TensorStore;

/// Not for use by two threads at once. Destroyed before it is finished, it leaves what it has for another
/// attempt (of tensors over 1 MiB), also when the process is killed.
class TensorWriter {
 public:
  /// Stores nothing, only verifies. `why` is what not_stored() says.
  TensorWriter(const Digest& hash, std::uint64_t size, Error why);
  TensorWriter(TensorWriter&& other) noexcept = default;
  TensorWriter& operator=(TensorWriter&&) = delete;
  ~TensorWriter();

  /// The next byte that append() takes; at the beginning: from where on the tensor is missing.
  std::uint64_t offset() const { return offset_; }
  std::uint64_t size() const { return size_; }

  /// Code::invalid when there are more bytes than the tensor has. A disk that is full is no error: from then
  /// on nothing is stored. Blocks as a write to a file does.
  Result<void> append(std::string_view bytes);

  /// Call when offset() is size(). Code::incompatible when the content is another one than was promised: use
  /// nothing of it; when a part of an earlier attempt was in it, begin once more, from zero. On success the
  /// tensor is stored, unless not_stored() says why not.
  Result<void> finish();

  /// Gives up, and leaves nothing for another attempt: what came is known to be wrong.
  void discard();

  const std::optional<Error>& not_stored() const { return not_stored_; }

 private:
  friend class TensorStore;
  enum class Way { nowhere, pack, part };
  TensorWriter(TensorStore& store, const Digest& hash, std::uint64_t size, Way way);
  void take_part(Descriptor part, std::uint64_t there, const Sink& sink);
  void stop_storing(Error why);

  TensorStore* store_ = nullptr;  ///< null when it never stored anything
  Digest hash_{};
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  Way way_ = Way::nowhere;
  Sha256 sha_;
  std::string packed_;  ///< Way::pack: all bytes so far
  Descriptor part_;     ///< Way::part: locked
  std::optional<Error> not_stored_;
};

}  // namespace caravan::fabric
