#include "base/files.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <random>
#include <system_error>

#include <fmt/format.h>

#include "base/descriptor.h"

namespace caravan {
namespace {

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

fs::path temporary_base() {
  std::error_code failure;
  fs::path base = fs::temp_directory_path(failure);
  if (failure) base = environment("PREFIX").value_or("") + "/tmp";  // Termux: $PREFIX/tmp
  return base;
}

}  // namespace

Error errno_error(std::string_view message, int error_number) {
  Code code = Code::unavailable;
  std::string hint;
  if (error_number == ENOENT) code = Code::not_found;
  if (error_number == EACCES || error_number == EPERM || error_number == EROFS) {
    code = Code::invalid;
    hint = "check the permissions, or choose another folder";
  }
  if (error_number == ENOSPC || error_number == EDQUOT || error_number == EMFILE || error_number == ENOMEM) {
    code = Code::exhausted;
  }
  if (error_number == ENOSPC || error_number == EDQUOT) hint = "free some space on that disk and try again";
  return Error{code, fmt::format("{}: {}", message, std::system_category().message(error_number)), hint};
}

Result<std::string> read_file(const fs::path& path, Bytes limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return errno_error(fmt::format("cannot open {}", path.string()), errno);
  std::string content;
  std::string chunk(1U << 16U, '\0');
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(fmt::format("cannot read {}", path.string()), errno);
    if (got == 0) return content;
    content.append(chunk, 0, static_cast<std::size_t>(got));
    if (content.size() > limit.count) {
      return Error{Code::exhausted, fmt::format("{} is larger than {}", path.string(), format_bytes(limit)),
                   ""};
    }
  }
}

Result<void> write_file_atomically(const fs::path& path, std::string_view content, unsigned mode) {
  const fs::path temporary = fmt::format("{}.{}.tmp", path.string(), ::getpid());
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (file.get() < 0) return errno_error(fmt::format("cannot write {}", temporary.string()), errno);
  const bool written = write_all(file.get(), content) && ::fsync(file.get()) == 0 && file.close_now() == 0;
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const Error error = errno_error(fmt::format("cannot write {}", path.string()), errno);
    ::unlink(temporary.c_str());
    return error;
  }
  const fs::path parent = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0)
    (void)::fsync(folder.get());  // some file systems cannot sync a folder; the rename stands
  return {};
}

Result<void> make_private_folder(const fs::path& path) {
  std::error_code failure;
  if (path.empty() || fs::is_directory(path, failure)) return {};
  if (auto parent = make_private_folder(path.parent_path()); !parent) return parent;
  // Another process may make it at the same time: then it is just as good.
  if (::mkdir(path.c_str(), 0700) == 0 || fs::is_directory(path, failure)) return {};
  return errno_error(fmt::format("cannot make the folder {}", path.string()),
                     errno == EEXIST ? ENOTDIR : errno);
}

Result<Bytes> free_space(const fs::path& path) {
  fs::path existing = fs::absolute(path);
  std::error_code failure;
  while (!fs::exists(existing, failure) && existing.has_relative_path()) existing = existing.parent_path();
  const fs::space_info space = fs::space(existing, failure);
  if (failure)
    return errno_error(fmt::format("cannot measure the free space at {}", existing.string()),
                       failure.value());
  return Bytes{space.available};
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

fs::path home_folder() {
  if (const auto home = environment("HOME")) return *home;
  const passwd* user = ::getpwuid(::getuid());
  return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "/";
}

fs::path caravan_home() {
  const auto chosen = environment("CARAVAN_HOME");
  return chosen ? fs::path(*chosen) : home_folder() / ".caravan";
}

fs::path cache_folder() {
  const auto chosen = environment("XDG_CACHE_HOME");
  return (chosen ? fs::path(*chosen) : home_folder() / ".cache") / "caravan";
}

std::string for_people(const fs::path& path) {
  const std::string home = home_folder().string();
  std::string text = path.string();
  if (home.size() > 1 && text.rfind(home + "/", 0) == 0) return "~" + text.substr(home.size());
  return text;
}

Result<TemporaryFolder> TemporaryFolder::make(std::string_view prefix) {
  const fs::path base = temporary_base();
  std::string pattern = (base / fmt::format("{}-XXXXXX", prefix)).string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    return errno_error(fmt::format("cannot make a temporary folder in {}", base.string()), errno);
  }
  return TemporaryFolder(pattern);
}

TemporaryFolder TemporaryFolder::promise(std::string_view prefix) {
  std::random_device random;  // the kernel's generator in libstdc++ and libc++
  return TemporaryFolder(temporary_base() / fmt::format("{}-{:08x}{:08x}", prefix, random(), random()));
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // nothing useful can be done about a folder that cannot be removed
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

fs::path TemporaryFolder::release() { return std::exchange(path_, {}); }

}  // namespace caravan
