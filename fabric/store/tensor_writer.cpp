#include "fabric/store/tensor_writer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "fabric/store/tensor_store.h"

namespace caravan::fabric {

TensorWriter::TensorWriter(const Digest& hash, std::uint64_t size, Error why)
    : hash_(hash), size_(size), not_stored_(std::move(why)) {}

TensorWriter::TensorWriter(TensorStore& store, const Digest& hash, std::uint64_t size, Way way)
    : store_(&store), hash_(hash), size_(size), way_(way) {
  if (way_ == Way::pack) packed_.reserve(static_cast<std::size_t>(size_));
}

TensorWriter::~TensorWriter() {
  // nothing to go on with
  if (way_ == Way::part && part_.get() >= 0 && offset_ == 0) store_->discard_part(hash_, part_.get());
}

/// Hashes what is there of a part and shows it to `sink`. What cannot be read is written again.
void TensorWriter::take_part(Descriptor part, std::uint64_t there, const Sink& sink) {
  part_ = std::move(part);
  there = std::min(there, size_);
  if (there == 0) return;
  if (read_through(part_.get(), 0, there, sha_, sink)) {
    offset_ = there;
    return;
  }
  sha_ = Sha256();
}

void TensorWriter::stop_storing(Error why) {
  discard();
  not_stored_ = std::move(why);
  store_->count_unstored();
}

Result<void> TensorWriter::append(std::string_view bytes) {
  if (bytes.size() > size_ - offset_) {
    return Error{Code::invalid, fmt::format("more bytes than the {} of the tensor", size_), ""};
  }
  sha_.update(bytes);
  if (way_ == Way::pack) packed_ += bytes;
  if (way_ == Way::part) {
    if (const int failed = write_at(part_.get(), bytes, offset_); failed != 0) {
      stop_storing(errno_error("cannot store the tensor", failed));
    }
  }
  offset_ += bytes.size();
  return {};
}

Result<void> TensorWriter::finish() {
  if (offset_ != size_) {
    return Error{Code::invalid, fmt::format("the tensor ends after {} of {} bytes", offset_, size_), ""};
  }
  if (sha_.finish() != hash_) {
    discard();
    return Error{Code::incompatible, "the tensor's content is not the one that was promised",
                 "load the model again; if it stays so, verify the model's file"};
  }
  if (way_ == Way::pack) {
    if (auto stored = store_->commit_packed(hash_, packed_); !stored) stop_storing(stored.error());
  }
  if (way_ == Way::part) {
    if (auto stored = store_->commit_part(hash_, part_.get()); !stored) stop_storing(stored.error());
  }
  packed_ = {};
  (void)part_.close_now();
  way_ = Way::nowhere;
  return {};
}

void TensorWriter::discard() {
  if (way_ == Way::part) store_->discard_part(hash_, part_.get());
  (void)part_.close_now();
  packed_ = {};
  way_ = Way::nowhere;
}

}  // namespace caravan::fabric
