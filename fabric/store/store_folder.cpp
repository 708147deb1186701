#include "fabric/store/store_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "fabric/store/codec.h"
#include "fabric/store/file_io.h"
#include "fabric/store/pack.h"

namespace caravan::fabric {
namespace {

/// No session uses more tensors than some dozen models have.
constexpr Bytes kMaxSession = mebibytes(64);

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
    entries.push_back(it->path());
  }
  return entries;
}

/// Another process has the lock of the file: it is written at this moment.
bool is_locked(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.get() >= 0 && !try_lock(file.get());
}

bool holds_any(const fs::path& pack, std::uint64_t size,
               const std::unordered_set<Digest, DigestHash>& hashes) {
  const auto file = open_for_reading(pack);
  if (!file) return false;
  for (const PackedTensor& tensor : list_pack(file->get(), size)) {
    if (hashes.count(tensor.hash) > 0) return true;
  }
  return false;
}

}  // namespace

FolderLock::FolderLock(int fd, Mode mode, std::chrono::milliseconds patience) : fd_(fd) {
  const int operation = (mode == Mode::alone ? LOCK_EX : LOCK_SH) | LOCK_NB;
  const auto until = std::chrono::steady_clock::now() + patience;
  while (::flock(fd_, operation) != 0) {
    if (std::chrono::steady_clock::now() >= until) {
      fd_ = -1;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) (void)::flock(fd_, LOCK_UN);
}

FolderLock StoreFolder::lock(FolderLock::Mode mode) const {
  constexpr std::chrono::seconds kNoPatience{30};
  const auto now = std::chrono::steady_clock::now();
  FolderLock lock(lock_.get(), mode, now < no_patience_until_ ? std::chrono::milliseconds(0) : patience_);
  if (!lock.is_held() && now >= no_patience_until_) {
    no_patience_until_ = std::chrono::steady_clock::now() + kNoPatience;
  }
  return lock;
}

Result<StoreFolder> StoreFolder::open(const fs::path& folder, std::chrono::milliseconds patience) {
  for (const char* name : {"files", "parts", "packs", "sessions"}) {
    if (const auto made = make_private_folder(folder / name); !made) return made.error();
  }
  const fs::path lock_path = folder / "lock";
  Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0) return errno_error(fmt::format("cannot write {}", lock_path.string()), errno);
  if (!try_lock(lock.get()) && errno != EWOULDBLOCK) {
    return errno_error(fmt::format("{} cannot be locked", lock_path.string()), errno);
  }
  (void)::flock(lock.get(), LOCK_UN);
  StoreFolder store(folder, std::move(lock), patience);
  if (const auto began = store.begin_session(); !began) return began.error();
  return store;
}

Result<void> StoreFolder::begin_session() {
  std::random_device random;
  const FolderLock held = lock(FolderLock::Mode::shared);  // nobody takes it for dead before it is locked
  if (!held.is_held()) {
    return Error{Code::unavailable, "another process holds its lock", "end processes that are stopped"};
  }
  session_path_ = path_ / "sessions" / fmt::format("{}-{:08x}{:08x}", ::getpid(), random(), random());
  session_ =
      Descriptor(::open(session_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  if (session_.get() >= 0 && try_lock(session_.get())) return {};
  return errno_error(fmt::format("cannot write {}", session_path_.string()), errno);
}

StoreFolder::~StoreFolder() {
  if (session_.get() >= 0) ::unlink(session_path_.c_str());
}

fs::path StoreFolder::new_pack() {
  return packs() / fmt::format("{}-{}.pack", session_path_.filename().string(), packs_made_++);
}

Result<void> StoreFolder::note_use(const Digest& hash) {
  const auto* raw = reinterpret_cast<const char*>(hash.data());
  ssize_t written = 0;
  do written = ::write(session_.get(), raw, hash.size());
  while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(hash.size())) return {};
  struct stat info {};
  // half a digest would make nonsense of all that follow
  if (written > 0 && ::fstat(session_.get(), &info) == 0) {
    (void)::ftruncate(session_.get(),
                      info.st_size / static_cast<off_t>(hash.size()) * static_cast<off_t>(hash.size()));
  }
  return errno_error(fmt::format("cannot write {}", session_path_.string()), written < 0 ? errno : ENOSPC);
}

std::unordered_set<Digest, DigestHash> StoreFolder::used_now() const {
  std::unordered_set<Digest, DigestHash> used;
  for (const fs::path& session : entries_of(path_ / "sessions")) {
    if (session != session_path_ && !is_locked(session)) {
      ::unlink(session.c_str());
      continue;
    }
    const auto bytes = read_file(session, kMaxSession);
    if (!bytes) continue;
    Taker taker(*bytes);
    while (taker.left() >= sizeof(Digest)) used.insert(taker.digest());
  }
  return used;
}

std::vector<StoreFile> StoreFolder::scan() const {
  const auto used = used_now();
  std::vector<StoreFile> found;
  for (const char* kind : {"files", "packs", "parts"}) {
    const std::string_view name(kind);
    for (const fs::path& path : entries_of(path_ / kind)) {
      struct stat info {};
      if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      StoreFile file{path, {}};
      // the length, or what it takes on the disk if that is more
      const auto size = static_cast<std::uint64_t>(info.st_size);
      file.item.size = Bytes{std::max(size, static_cast<std::uint64_t>(info.st_blocks) * 512)};
      file.item.last_use = StoreTime(std::chrono::seconds(info.st_mtim.tv_sec));
      file.item.is_part = name == "parts";
      const auto hash = parse_digest(path.filename().string());
      if (name == "files") file.item.is_used_now = hash && used.count(*hash) > 0;
      if (name == "packs") file.item.is_used_now = is_locked(path) || holds_any(path, size, used);
      if (name == "parts") file.item.is_used_now = is_locked(path);
      found.push_back(std::move(file));
    }
  }
  return found;
}

}  // namespace caravan::fabric
