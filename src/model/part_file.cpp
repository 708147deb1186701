#include "model/part_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace caravan::model {
namespace {

/// So that the disk is not filled to its last byte: other programs misbehave then.
constexpr Bytes kSpareSpace = mebibytes(64);

/// Whether `path` still leads to the file that is open as `fd`: its maker may have renamed it before we got
/// the lock.
bool is_still_there(const fs::path& path, int fd) {
  struct stat by_path {};
  struct stat by_fd {};
  return ::stat(path.c_str(), &by_path) == 0 && ::fstat(fd, &by_fd) == 0 && by_path.st_dev == by_fd.st_dev &&
         by_path.st_ino == by_fd.st_ino;
}

}  // namespace

PartFile::PartFile(fs::path target, fs::path path, Descriptor file, Bytes size)
    : target_(std::move(target)), path_(std::move(path)), file_(std::move(file)), size_(size) {}

PartFile::~PartFile() {
  if (size_ == Bytes{}) discard();
}

Result<PartFile> PartFile::open(const fs::path& target) {
  const fs::path path = target.string() + ".part";
  if (const auto made = make_private_folder(target.parent_path()); !made) return made.error();
  for (;;) {
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (file.get() < 0) return errno_error(fmt::format("cannot write {}", path.string()), errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return errno_error(fmt::format("cannot lock {}", path.string()), errno);
      const std::string name = target.filename().string();
      return Error{Code::unavailable, fmt::format("{} is being downloaded by another process", name),
                   "wait until it is done"};
    }
    struct stat info {};
    if (is_still_there(path, file.get()) && ::fstat(file.get(), &info) == 0) {
      return PartFile(target, path, std::move(file), Bytes{static_cast<std::uint64_t>(info.st_size)});
    }
  }
}

Result<void> PartFile::hash_what_is_there(const TransferControl& control) {
  hash_ = Sha256();
  return hash_into(hash_, path_, control);
}

Result<void> PartFile::restart() {
  hash_ = Sha256();
  size_ = Bytes{};
  if (::ftruncate(file_.get(), 0) == 0) return {};
  return errno_error(fmt::format("cannot write {}", path_.string()), errno);
}

Result<void> PartFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_error(fmt::format("cannot write {}", path_.string()), errno);
    const auto count = static_cast<std::size_t>(written);
    hash_.update(bytes.substr(0, count));
    size_ += Bytes{count};
    bytes.remove_prefix(count);
  }
  return {};
}

Result<void> PartFile::commit() {
  if (::fsync(file_.get()) != 0 || ::rename(path_.c_str(), target_.c_str()) != 0) {
    return errno_error(fmt::format("cannot write {}", target_.string()), errno);
  }
  const Descriptor folder(::open(target_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0)
    (void)::fsync(folder.get());  // some file systems cannot sync a folder; the rename stands
  ::unlink(notes_path().c_str());
  (void)file_.close_now();
  return {};
}

void PartFile::discard() {
  if (file_.get() < 0) return;  // no longer ours to delete
  ::unlink(notes_path().c_str());
  ::unlink(path_.c_str());
  (void)file_.close_now();
}

Result<void> check_space(const fs::path& path, Bytes needed) {
  const auto available = free_space(path);
  if (!available) return available.error();
  const Bytes wanted = needed + kSpareSpace;
  if (*available >= wanted) return {};
  return Error{Code::exhausted,
               fmt::format("not enough space at {}: {} needed, {} free", for_people(path),
                           format_bytes(wanted), format_bytes(*available)),
               fmt::format("free {} there, or choose another place with CARAVAN_HOME",
                           format_bytes(Bytes{wanted.count - available->count}))};
}

}  // namespace caravan::model
