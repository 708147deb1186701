// Makes manifests by hashing files, and keeps them, so that a file is hashed once as long as it does not
// change.
#pragma once

#include <chrono>
#include <functional>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "fabric/store/manifest.h"

namespace caravan::fabric {

struct HashingControl {
  /// Threads that hash, the caller's among them.
  unsigned threads = 1;
  /// Called now and then with bytes hashed and bytes of all tensors of a file; one call at a time, on any of
  /// the threads.
  std::function<void(Bytes done, Bytes total)> on_progress;
  /// Asked now and then, on any of the threads and by several at once.
  std::function<bool()> is_cancelled;
  /// A file that changed less than this ago may change again without its times showing it: its manifest is
  /// made, but not kept. 2 s is the coarsest time of a file system that is in use (FAT).
  std::chrono::seconds settled_after{2};
};

/// Hashes all tensors of one file. Blocks; memory: a chunk a thread. Code::incompatible for what is no sound
/// GGUF, Code::interrupted when cancelled, Code::unavailable when the file changed meanwhile.
Result<FileManifest> hash_file(const fs::path& path, const HashingControl& control);

/// Manifests in a folder of their own, never beside the user's files. Any number of threads and processes may
/// use one folder: files are replaced as a whole. All of it blocks.
class ManifestCache {
 public:
  /// The folder is made when the first manifest is kept.
  explicit ManifestCache(fs::path folder) : folder_(std::move(folder)) {}

  /// From the folder when the file is what it was then (path, size, inode, times), else hashed. A manifest
  /// that cannot be kept is still returned.
  Result<FileManifest> of_file(const fs::path& path, const HashingControl& control) const;
  /// `path` is the model, or any of its shards (x-00001-of-00003.gguf).
  Result<Manifest> of_model(const fs::path& path, const HashingControl& control) const;
  /// The file's manifest if it is kept and still right. Takes milliseconds.
  std::optional<FileManifest> kept(const fs::path& path) const;

 private:
  fs::path place_of(const std::string& path) const;
  void keep(const FileManifest& manifest) const;

  fs::path folder_;
};

/// All files of the model to which `path` belongs, in order; only `path` when it is no shard.
std::vector<fs::path> shards_of(const fs::path& path);

}  // namespace caravan::fabric
