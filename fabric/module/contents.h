// Which contents the model's tensors have, and from where: what a tensor that is to be set can be called
// instead of sending its bytes. A name alone is never believed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ggml.h>

#include "base/descriptor.h"
#include "fabric/store/manifest_cache.h"
#include "fabric/wire/weight_messages.h"

namespace caravan::fabric {

/// Bytes of the model that are a tensor's share: pieces of the same size, one after the other, from places in
/// a file that are as far apart.
struct Slice {
  std::size_t file = 0;      ///< of the model's
  std::uint64_t offset = 0;  ///< in the file, of the first piece
  std::uint64_t piece = 0;   ///< bytes of each, at least 1
  std::uint64_t stride = 0;  ///< from piece to piece
};

/// Every function may be called by several threads at once.
class Contents {
 public:
  /// Of the GGUF file `model` and its other shards. Blocks while it hashes a model of which no manifest is
  /// kept in `manifests`.
  static Result<Contents> open(const fs::path& model, const fs::path& manifests);

  /// The content of `bytes`, which are all of `tensor`, when they are one of the model's: their place in the
  /// mapping of an unchanged file says so, or else their hash does. Nothing when they are not.
  std::optional<Content> of(const ggml_tensor& tensor, std::string_view bytes) const;

  /// Where pieces are that begin at `data` and end before `end`, when all of it shows one unchanged file of
  /// the model. Of what they hold nothing is known.
  std::optional<Slice> slice_at(const char* data, const char* end, std::uint64_t piece,
                                std::uint64_t stride) const;
  /// Fills `into` with the bytes of all pieces from number `offset` on, as read() does.
  Result<void> read(const Slice& slice, std::uint64_t offset, std::span<char> into) const;

  /// The type that the model has such a content with.
  std::uint32_t type_of(const Content& content) const;
  /// Fills `into` with the content's bytes from `offset` on, from the file as it is now: whoever gets them
  /// has to hash the whole.
  Result<void> read(const Content& content, std::uint64_t offset, std::span<char> into) const;

 private:
  struct Place {
    std::size_t file = 0;
    std::uint64_t offset = 0;
    std::uint32_t type = 0;
  };
  explicit Contents(Manifest manifest) : manifest_(std::move(manifest)) {}
  bool is_unchanged(std::size_t file) const;
  struct Shown {
    std::size_t file = 0;
    std::uint64_t offset = 0;
  };
  /// Which place of which unchanged file of the model is mapped there.
  std::optional<Shown> shown_at(const char* data) const;

  Manifest manifest_;
  std::vector<Descriptor> files_;  ///< as those of the manifest
  std::unordered_map<Digest, Place, DigestHash> places_;
};

/// A part of this process's memory that shows a file.
struct Mapping {
  std::uint64_t offset = 0;  ///< in the file, of the address that was asked about
  std::uint64_t inode = 0;
  std::string path;
};
/// What `address` is in, by the lines of proc(5), /proc/PID/maps. Nothing for memory that shows no file.
std::optional<Mapping> find_mapping(std::string_view maps, std::uintptr_t address);

}  // namespace caravan::fabric
