// The folder of a store as all processes that use it see it: what is in it, who uses what, and one lock.
#pragma once

#include <chrono>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/result.h"
#include "fabric/store/digest.h"
#include "fabric/store/prune_policy.h"

namespace caravan::fabric {

/// A process that prunes holds it alone; those that begin to use a tensor hold it together. Held for the time
/// of some system calls. Two of them must not be held on one folder object at once.
class FolderLock {
 public:
  enum class Mode { shared, alone };
  /// Locks `fd`, or holds nothing when others have it for longer than `patience`.
  FolderLock(int fd, Mode mode, std::chrono::milliseconds patience);
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

  bool is_held() const { return fd_ >= 0; }

 private:
  int fd_;
};

/// A file of the store.
struct StoreFile {
  fs::path path;
  StoredItem item;
};

/// All of it blocks. Not for use by two threads at once: TensorStore sees to that.
class StoreFolder {
 public:
  /// Makes what is missing, and a session of this process: a file that is locked as long as this lives.
  static Result<StoreFolder> open(const fs::path& folder, std::chrono::milliseconds patience);
  StoreFolder(StoreFolder&&) noexcept = default;
  StoreFolder& operator=(StoreFolder&&) = delete;
  ~StoreFolder();

  fs::path file_of(const Digest& hash) const { return path_ / "files" / hex(hash); }
  fs::path part_of(const Digest& hash) const { return path_ / "parts" / hex(hash); }
  fs::path files() const { return path_ / "files"; }
  fs::path packs() const { return path_ / "packs"; }
  const fs::path& path() const { return path_; }
  /// Another name at each call.
  fs::path new_pack();
  /// Waits no longer than `patience`: a process that was frozen while it held the lock must not freeze all
  /// others. After a wait in vain there is none for half a minute. A lock that is not held: go on without the
  /// store.
  FolderLock lock(FolderLock::Mode mode) const;

  /// Notes that this process uses it. Call with the lock held, shared. Code::exhausted and so on when it
  /// cannot be noted: then it may be pruned although it is in use.
  Result<void> note_use(const Digest& hash);
  /// All that living processes use; sessions of dead ones go. Call with the lock held alone.
  std::unordered_set<Digest, DigestHash> used_now() const;
  /// Everything that takes room. Call with the lock held alone.
  std::vector<StoreFile> scan() const;

 private:
  StoreFolder(fs::path path, Descriptor lock, std::chrono::milliseconds patience)
      : path_(std::move(path)), lock_(std::move(lock)), patience_(patience) {}
  Result<void> begin_session();

  fs::path path_;
  Descriptor lock_;
  std::chrono::milliseconds patience_;
  fs::path session_path_;
  Descriptor session_;
  unsigned packs_made_ = 0;
  mutable std::chrono::steady_clock::time_point no_patience_until_{};
};

}  // namespace caravan::fabric
