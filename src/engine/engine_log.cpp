#include "engine/engine_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace caravan::engine {

EngineLog::EngineLog(const fs::path& path, std::uint64_t max_bytes) : max_bytes_(max_bytes) {
  if (path.empty()) return;
  std::error_code nothing_there;
  fs::rename(path, path.string() + ".old", nothing_there);
  file_ = Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
}

void EngineLog::write_line(std::string_view line) {
  if (file_.get() < 0) return;
  if (kept_ == 0 && size_ + line.size() + 1 > max_bytes_ / 2) {
    kept_ = size_;
    append("... what follows is the end of the log ...\n");
  }
  if (size_ + line.size() + 1 > max_bytes_) {
    if (::ftruncate(file_.get(), static_cast<off_t>(kept_)) != 0) return;
    size_ = kept_;
    append("... lines were left out here ...\n");
  }
  append(std::string(line) + "\n");
}

void EngineLog::append(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    size_ += static_cast<std::uint64_t>(written);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace caravan::engine
