// Which bytes the tensors of a model have: name, type, shape, place and SHA-256 of each. docs/fabric-store.md
// has the format in which the manifest of a file is kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "fabric/store/digest.h"
#include "fabric/store/file_io.h"
#include "fabric/store/gguf_layout.h"

namespace caravan::fabric {

struct HashedTensor {
  GgufTensor where;
  Digest hash{};

  bool operator==(const HashedTensor&) const = default;
};

/// All about one file: a model, or one shard of it.
struct FileManifest {
  std::string path;       ///< absolute, without links
  FileIdentity identity;  ///< what the file was when it was hashed
  GgufSplit split;
  std::vector<HashedTensor> tensors;

  bool operator==(const FileManifest&) const = default;
};

/// Version 1 of the format.
std::string encode(const FileManifest& manifest);
/// Any bytes. Code::incompatible with the reason for what is damaged or of another version. What it returns
/// has at most kMaxTensors tensors of sizes that fit their types and shapes, inside the file.
Result<FileManifest> decode_manifest(std::string_view bytes);
/// No manifest is larger.
inline constexpr Bytes kMaxManifest = mebibytes(4);

/// A model: one file, or all of its shards in order.
class Manifest {
 public:
  /// Code::incompatible when the files are not the shards of one model, or a name is there twice.
  static Result<Manifest> join(std::vector<FileManifest> files);

  struct Entry {
    std::size_t file = 0;  ///< index into files()
    const HashedTensor* tensor = nullptr;
  };
  /// tensor == nullptr when there is none. Valid as long as this manifest.
  Entry find(std::string_view name) const;
  /// The tensor that begins exactly at `offset` of a file.
  const HashedTensor* at(std::size_t file, std::uint64_t offset) const;

  const std::vector<FileManifest>& files() const { return files_; }
  std::size_t tensors() const { return by_name_.size(); }
  Bytes bytes() const;

 private:
  std::vector<FileManifest> files_;
  struct Index {
    std::size_t file;
    std::size_t tensor;
  };
  std::unordered_map<std::string, Index> by_name_;
};

}  // namespace caravan::fabric
