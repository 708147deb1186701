#include "app/node_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <thread>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::app {
namespace {

constexpr std::size_t kMaxText = 64;
/// Whoever only looks holds the lock for some microseconds, shared with others who look.
constexpr int kTries = 200;
constexpr std::chrono::milliseconds kPause{5};

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc{} && end == text.data() + text.size() && number > 0;
}

Descriptor open_lock(const fs::path& folder, int flags) {
  return Descriptor(::open((folder / "node.lock").c_str(), flags | O_CLOEXEC, 0600));
}

/// 0, or errno; EWOULDBLOCK: somebody else has it.
int try_lock(const Descriptor& file, int operation) {
  int result = 0;
  do {
    result = ::flock(file.get(), operation | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

LockHolder read_holder(const Descriptor& file) {
  std::array<char, kMaxText> text{};
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
  return got > 0 ? lock_holder_from({text.data(), static_cast<std::size_t>(got)}) : LockHolder{};
}

Error held_by(const LockHolder& holder) {
  return Error{Code::unavailable, fmt::format("a node is already up ({})", describe(holder)),
               "`caravan stop` ends it, or give this one a folder of its own (CARAVAN_HOME)"};
}

}  // namespace

std::string to_text(const LockHolder& holder) { return fmt::format("{} {}\n", holder.pid, holder.since); }

LockHolder lock_holder_from(std::string_view text) {
  const auto words = split(trim(text), ' ');
  LockHolder holder;
  if (words.size() != 2 || !read_number(words[0], holder.pid) || !read_number(words[1], holder.since))
    return {};
  return holder;
}

std::string describe(const LockHolder& holder) {
  if (holder.pid == 0) return "an unknown process";
  const auto seconds = static_cast<std::time_t>(holder.since);
  std::tm local{};
  std::array<char, 32> text{};
  const bool known = ::localtime_r(&seconds, &local) != nullptr &&
                     std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local) > 0;
  return known ? fmt::format("process {}, since {}", holder.pid, text.data())
               : fmt::format("process {}", holder.pid);
}

Result<NodeLock> NodeLock::take(const fs::path& folder) {
  if (auto made = make_private_folder(folder); !made) return made.error();
  Descriptor file = open_lock(folder, O_RDWR | O_CREAT);
  if (file.get() < 0) return errno_error("cannot open " + for_people(folder / "node.lock"), errno);
  for (int i = 0;; ++i) {
    const int failed = try_lock(file, LOCK_EX);
    if (failed == 0) break;
    if (failed != EWOULDBLOCK) return errno_error("cannot lock " + for_people(folder / "node.lock"), failed);
    // What can be shared is held only by those who look.
    if (try_lock(file, LOCK_SH) != 0 || i == kTries) return held_by(read_holder(file));
    (void)try_lock(file, LOCK_UN);
    std::this_thread::sleep_for(kPause);
  }
  const std::string text = to_text({::getpid(), static_cast<std::int64_t>(std::time(nullptr))});
  const bool written = ::ftruncate(file.get(), 0) == 0 &&
                       ::pwrite(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  if (!written) return errno_error("cannot write " + for_people(folder / "node.lock"), errno);
  return NodeLock(std::move(file));
}

Result<std::optional<LockHolder>> lock_holder(const fs::path& folder) {
  const Descriptor file = open_lock(folder, O_RDONLY);
  if (file.get() < 0) {
    if (errno == ENOENT) return std::optional<LockHolder>();
    return errno_error("cannot open " + for_people(folder / "node.lock"), errno);
  }
  const int failed = try_lock(file, LOCK_SH);
  if (failed == 0) return std::optional<LockHolder>();
  if (failed != EWOULDBLOCK) return errno_error("cannot look at " + for_people(folder / "node.lock"), failed);
  return std::optional(read_holder(file));
}

}  // namespace caravan::app
