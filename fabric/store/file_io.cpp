#include "fabric/store/file_io.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

namespace caravan::fabric {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;

Error cannot_read(ssize_t got) {
  if (got < 0) {
    Error error = errno_error("cannot read", errno);
    error.code = Code::disconnected;
    return error;
  }
  return Error{Code::disconnected, "the file is shorter than it was", ""};
}

}  // namespace

Result<Descriptor> open_for_reading(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) {
    return errno_error(fmt::format("cannot open {}", path.string()), errno);
  }
  if (S_ISREG(info.st_mode)) return file;
  return Error{Code::invalid, fmt::format("{} is not a regular file", path.string()), "name a .gguf file"};
}

ssize_t read_at(int fd, void* out, std::uint64_t offset, std::size_t length) {
  std::size_t done = 0;
  while (done < length) {
    const ssize_t got =
        ::pread(fd, static_cast<char*>(out) + done, length - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

int write_at(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return 0;
}

Result<void> read_through(int fd, std::uint64_t offset, std::uint64_t size, Sha256& hash, const Sink& sink) {
  std::vector<char> chunk(static_cast<std::size_t>(std::min<std::uint64_t>(size, kReadChunk)));
  for (std::uint64_t done = 0; done < size;) {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(size - done, chunk.size()));
    const ssize_t got = read_at(fd, chunk.data(), offset + done, length);
    if (got != static_cast<ssize_t>(length)) return cannot_read(got);
    const std::string_view bytes(chunk.data(), length);
    hash.update(bytes);
    if (sink) sink(done, bytes);
    done += length;
  }
  return {};
}

Result<void> read_into(int fd, std::uint64_t offset, std::span<char> out, Sha256& hash) {
  for (std::size_t done = 0; done < out.size();) {
    const std::size_t length = std::min(out.size() - done, kReadChunk);
    const ssize_t got = read_at(fd, out.data() + done, offset + done, length);
    if (got != static_cast<ssize_t>(length)) return cannot_read(got);
    hash.update({out.data() + done, length});
    done += length;
  }
  return {};
}

bool try_lock(int fd) {
  int result = 0;
  do result = ::flock(fd, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

bool is_same_file(const fs::path& path, int fd) {
  struct stat by_path {};
  struct stat by_fd {};
  return ::stat(path.c_str(), &by_path) == 0 && ::fstat(fd, &by_fd) == 0 && by_path.st_dev == by_fd.st_dev &&
         by_path.st_ino == by_fd.st_ino;
}

FileIdentity identity_of(const struct stat& info) {
  const auto nanoseconds = [](const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * kNanoseconds + static_cast<std::int64_t>(time.tv_nsec);
  };
  return {static_cast<std::uint64_t>(info.st_size), static_cast<std::uint64_t>(info.st_ino),
          nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
}

}  // namespace caravan::fabric
