// A file while it is being made: "X.part" beside X, locked against other processes, hashed as it grows, and
// renamed to X only when it is whole.
#pragma once

#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "model/progress.h"
#include "model/sha256.h"

namespace caravan::model {

/// All of it blocks. Not for use by two threads at once.
class PartFile {
 public:
  /// Opens or makes `target`.part and its folder. Code::unavailable when another process is making it.
  static Result<PartFile> open(const fs::path& target);
  PartFile(PartFile&& other) noexcept = default;
  PartFile& operator=(PartFile&&) = delete;
  /// Gives the lock back. What is there stays, to be continued later; an empty part goes.
  ~PartFile();

  const fs::path& target() const { return target_; }
  const fs::path& path() const { return path_; }
  /// Where the maker may keep notes on how to continue; goes with commit() and discard().
  fs::path notes_path() const { return path_.string() + ".json"; }
  Bytes size() const { return size_; }

  /// Takes what an earlier run left into the hash. Call before append() unless restart() is called.
  Result<void> hash_what_is_there(const TransferControl& control);
  /// Forgets what is there.
  Result<void> restart();
  Result<void> append(std::string_view bytes);
  /// SHA-256 of all bytes.
  std::string sha256() const { return hash_.hex(); }

  /// Syncs to the disk and renames to target().
  Result<void> commit();
  /// Deletes part and notes.
  void discard();

 private:
  PartFile(fs::path target, fs::path path, Descriptor file, Bytes size);

  fs::path target_;
  fs::path path_;
  Descriptor file_;  ///< locked; owns nothing once committed or discarded
  Bytes size_;
  Sha256 hash_;
};

/// Nothing when `needed` more bytes fit on the file system of `path`, with room to spare; else
/// Code::exhausted and how much is missing.
Result<void> check_space(const fs::path& path, Bytes needed);

}  // namespace caravan::model
