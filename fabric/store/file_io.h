// Reading and writing at a place of an open file. All of it blocks, and can be used by several threads at
// once on one descriptor.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/result.h"
#include "fabric/store/digest.h"

namespace caravan::fabric {

/// What is read, hashed and handed on at once: small enough to stay in a core's cache in between.
inline constexpr std::size_t kReadChunk = 256U << 10U;

/// Opens for reading. Code::invalid for what is no regular file: opening a pipe would wait for its writer.
Result<Descriptor> open_for_reading(const fs::path& path);

/// Bytes read, fewer than asked for only at the end of the file; -1 with errno.
ssize_t read_at(int fd, void* out, std::uint64_t offset, std::size_t length);
/// 0, or errno.
int write_at(int fd, std::string_view bytes, std::uint64_t offset);

/// Takes the bytes of a tensor in order, from `offset` on.
using Sink = std::function<void(std::uint64_t offset, std::string_view bytes)>;

/// Bytes [offset, offset + size) of a file go into `sink` and `hash`. Code::disconnected when the file ends
/// before, or cannot be read.
Result<void> read_through(int fd, std::uint64_t offset, std::uint64_t size, Sha256& hash, const Sink& sink);
/// The same, straight into memory.
Result<void> read_into(int fd, std::uint64_t offset, std::span<char> out, Sha256& hash);

/// Takes the lock of an open file without waiting; false when another has it.
bool try_lock(int fd);
/// Whether `path` leads to the file that is open as `fd`.
bool is_same_file(const fs::path& path, int fd);

/// What a file is told apart by: a changed file has another one, short of somebody's effort to hide it.
struct FileIdentity {
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;  ///< changes also when mtime was set back by a program that copies times

  bool operator==(const FileIdentity&) const = default;
};
FileIdentity identity_of(const struct stat& info);

}  // namespace caravan::fabric
