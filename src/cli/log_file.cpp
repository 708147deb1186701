#include "cli/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace caravan::cli {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10U;
constexpr std::size_t kMaxAtOnce = std::size_t{4} << 20U;

/// Up to `size` bytes at `offset`; fewer at the end of the file or when it cannot be read.
std::string read_at(const Descriptor& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '\0');
  std::size_t length = 0;
  while (length < size) {
    const ssize_t got =
        ::pread(file.get(), text.data() + length, size - length, static_cast<off_t>(offset + length));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    length += static_cast<std::size_t>(got);
  }
  text.resize(length);
  return text;
}

std::uint64_t size_of(const Descriptor& file) {
  struct stat info {};
  return ::fstat(file.get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

}  // namespace

std::size_t begin_of_last_lines(std::string_view text, std::size_t lines) {
  if (lines == 0) return text.size();
  std::size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (; at > 0; --at) {
    if (text[at - 1] == '\n' && --lines == 0) return at;
  }
  return 0;
}

bool LogFile::open() {
  file_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  offset_ = 0;
  return file_.get() >= 0;
}

Result<std::string> LogFile::last_lines(std::size_t lines) {
  if (!open()) {
    if (errno == ENOENT) return std::string();
    return errno_error("cannot read " + for_people(path_), errno);
  }
  offset_ = size_of(file_);
  std::string text;
  for (std::uint64_t begin = offset_; begin > 0;) {
    const std::size_t size = std::min<std::uint64_t>(kBlock, begin);
    begin -= size;
    text.insert(0, read_at(file_, begin, size));
    if (const std::size_t first = begin_of_last_lines(text, lines); first > 0) return text.substr(first);
  }
  return text;
}

std::string LogFile::read_on(std::size_t limit) {
  offset_ = std::min(offset_, size_of(file_));
  std::string text;
  while (text.size() < limit) {
    const std::string piece = read_at(file_, offset_, kBlock);
    offset_ += piece.size();
    text += piece;
    if (piece.size() < kBlock) break;
  }
  return text;
}

std::string LogFile::more() {
  if (file_.get() < 0 && !open()) return "";
  struct stat ours {};
  struct stat there {};
  const bool replaced = ::fstat(file_.get(), &ours) == 0 && ::stat(path_.c_str(), &there) == 0 &&
                        (ours.st_ino != there.st_ino || ours.st_dev != there.st_dev);
  std::string text = read_on(kMaxAtOnce);
  if (replaced && text.size() < kMaxAtOnce && open()) text += read_on(kMaxAtOnce);
  return text;
}

}  // namespace caravan::cli
