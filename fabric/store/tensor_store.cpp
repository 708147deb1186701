#include "fabric/store/tensor_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace caravan::fabric {
namespace {

using Mode = FolderLock::Mode;

StoreTime wall_clock() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

Error locked_out() {
  return Error{Code::unavailable, "another process holds the lock of the store of weights",
               "end processes that are stopped"};
}

Error not_here(std::string why) { return Error{Code::not_found, std::move(why), ""}; }

Result<void> sync_path(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return {};  // pruned meanwhile
  if (::fsync(file.get()) == 0) return {};
  return errno_error(fmt::format("cannot write {} to the disk", path.string()), errno);
}

}  // namespace

Result<std::unique_ptr<TensorStore>> TensorStore::open(const fs::path& folder, StoreLimits limits) {
  auto opened = StoreFolder::open(folder, limits.lock_patience);
  if (!opened) {
    return with_context(opened.error(), fmt::format("the store of weights at {}", folder.string()));
  }
  std::unique_ptr<TensorStore> store(new TensorStore(std::move(*opened), limits));
  (void)store->prune(Bytes{});
  store->read_packs();
  return store;
}

void TensorStore::read_packs() {
  std::error_code failure;
  for (fs::directory_iterator it(folder_.packs(), failure), end; !failure && it != end;
       it.increment(failure)) {
    const auto file = open_for_reading(it->path());
    struct stat info {};
    if (!file || ::fstat(file->get(), &info) != 0) continue;
    const auto path = std::make_shared<const fs::path>(it->path());
    for (const PackedTensor& tensor : list_pack(file->get(), static_cast<std::uint64_t>(info.st_size))) {
      packed_[tensor.hash] = {path, tensor.offset, tensor.size};
    }
  }
}

bool TensorStore::is_there(const Place& place, std::uint64_t size) const {
  struct stat info {};
  if (::stat(place.path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  return place.in_pack || static_cast<std::uint64_t>(info.st_size) == size;
}

/// Finds it and notes that it is in use.
std::optional<TensorStore::Place> TensorStore::find(const Digest& hash, std::uint64_t size) {
  const std::lock_guard guard(mutex_);
  const FolderLock lock = folder_.lock(Mode::shared);  // what is there now is not pruned before it is noted
  if (!lock.is_held()) return std::nullopt;
  std::vector<Place> places;
  if (const auto packed = packed_.find(hash); packed != packed_.end() && packed->second.size == size) {
    places.push_back({*packed->second.path, packed->second.offset, true});
  }
  places.push_back({folder_.file_of(hash), 0, false});
  for (const Place& place : places) {
    if (is_there(place, size)) {
      if (noted_.count(hash) == 0) note_use(hash, place.path);
      return place;
    }
    if (place.in_pack) forget_pack(place.path);
  }
  return std::nullopt;
}

/// With the folder's lock held. A use that cannot be noted does no harm but that it may be pruned.
void TensorStore::note_use(const Digest& hash, const fs::path& path) {
  if (folder_.note_use(hash)) noted_.insert(hash);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return;
  const StoreTime last_use{std::chrono::seconds(info.st_mtim.tv_sec)};
  if (PrunePolicy::is_worth_noting(last_use, wall_clock())) {
    (void)::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  }
}

void TensorStore::forget_pack(const fs::path& path) {
  for (auto it = packed_.begin(); it != packed_.end();) {
    it = *it->second.path == path ? packed_.erase(it) : std::next(it);
  }
}

/// Only if it is still the file that was read: another process may have dropped it and stored it again. A
/// pack goes as a whole: what else is in it is sent again in a moment.
void TensorStore::drop_damaged(const Place& place, int fd) {
  const std::lock_guard guard(mutex_);
  const FolderLock lock = folder_.lock(Mode::alone);
  ++stats_.damaged;
  if (lock.is_held() && is_same_file(place.path, fd)) ::unlink(place.path.c_str());
  if (!place.in_pack) return;
  if (pack_ && pack_->path() == place.path) pack_.reset();
  forget_pack(place.path);
}

template <typename Read>
Result<void> TensorStore::read_verified(const Digest& hash, std::uint64_t size, const Read& read) {
  const auto place = find(hash, size);
  if (!place) return not_here("the tensor is not in the store");
  const auto file = open_for_reading(place->path);
  if (!file) return not_here(file.error().message);
  Sha256 sha;
  if (read(file->get(), place->offset, sha) && sha.finish() == hash) return {};
  drop_damaged(*place, file->get());
  return not_here("the stored tensor was damaged and is dropped");
}

bool TensorStore::has(const Digest& hash, std::uint64_t size) { return find(hash, size).has_value(); }

Result<void> TensorStore::read(const Digest& hash, std::span<char> out) {
  return read_verified(hash, out.size(), [&](int fd, std::uint64_t offset, Sha256& sha) {
    return read_into(fd, offset, out, sha).ok();
  });
}

Result<void> TensorStore::stream(const Digest& hash, std::uint64_t size, const Sink& sink) {
  return read_verified(hash, size, [&](int fd, std::uint64_t offset, Sha256& sha) {
    return read_through(fd, offset, size, sha, sink).ok();
  });
}

std::uint64_t TensorStore::kept(const Digest& hash, std::uint64_t size) const {
  struct stat info {};
  if (size <= kMaxPacked || ::stat(folder_.part_of(hash).c_str(), &info) != 0) return 0;
  const auto there = static_cast<std::uint64_t>(info.st_size);
  return there > size ? 0 : std::min(there, size - 1);
}

Result<void> TensorStore::read_kept(const Digest& hash, std::span<char> out) const {
  const auto file = open_for_reading(folder_.part_of(hash));
  if (!file) return file.error();
  Sha256 unused;
  return read_into(file->get(), 0, out, unused);
}

TensorWriter TensorStore::begin(const Digest& hash, std::uint64_t size, const Sink& sink,
                                std::uint64_t at_most) {
  const auto refuse = [&](const Error& why) {
    count_unstored();
    return TensorWriter(hash, size, why);
  };
  if (size <= kMaxPacked) {
    if (const auto room = make_room(size); !room) return refuse(room.error());
    return {*this, hash, size, TensorWriter::Way::pack};
  }
  auto part = open_part(hash, size);
  if (!part) return refuse(part.error());
  TensorWriter writer(*this, hash, size, TensorWriter::Way::part);
  writer.take_part(std::move(part->file), std::min(part->size, at_most), sink);
  return writer;
}

/// Opens the part and locks it, having made room for what is missing of it.
Result<TensorStore::OpenPart> TensorStore::open_part(const Digest& hash, std::uint64_t size) {
  const fs::path path = folder_.part_of(hash);
  OpenPart part;
  {
    const std::lock_guard guard(mutex_);
    const FolderLock lock = folder_.lock(Mode::shared);
    if (!lock.is_held()) return locked_out();
    part.file = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (part.file.get() < 0) return errno_error(fmt::format("cannot write {}", path.string()), errno);
    // whoever had it may have finished, and given it its other name, before we got the lock
    if (!try_lock(part.file.get()) || !is_same_file(path, part.file.get())) {
      return Error{Code::unavailable, "somebody else is storing this tensor", ""};
    }
  }
  struct stat info {};
  if (::fstat(part.file.get(), &info) != 0) return errno_error("cannot read a part of a tensor", errno);
  part.size = static_cast<std::uint64_t>(info.st_size);
  if (part.size > size) {  // it can only be damaged
    if (::ftruncate(part.file.get(), 0) != 0) return errno_error("cannot write a part of a tensor", errno);
    part.size = 0;
  }
  if (auto room = make_room(size - part.size); !room) {
    discard_part(hash, part.file.get());
    return room.error();
  }
  return part;
}

void TensorStore::discard_part(const Digest& hash, int fd) {
  const fs::path path = folder_.part_of(hash);
  if (is_same_file(path, fd)) ::unlink(path.c_str());
}

Result<void> TensorStore::commit_part(const Digest& hash, int fd) {
  const std::lock_guard guard(mutex_);
  const FolderLock lock = folder_.lock(Mode::shared);
  if (!lock.is_held()) return locked_out();
  const fs::path part = folder_.part_of(hash);
  const fs::path file = folder_.file_of(hash);
  if (!is_same_file(part, fd)) return Error{Code::unavailable, "the part of the tensor is gone", ""};
  if (::rename(part.c_str(), file.c_str()) != 0) {
    return errno_error(fmt::format("cannot write {}", file.string()), errno);
  }
  note_use(hash, file);
  unsynced_.push_back(file);
  ++stats_.stored;
  return {};
}

Result<void> TensorStore::commit_packed(const Digest& hash, std::string_view bytes) {
  const std::lock_guard guard(mutex_);
  const FolderLock lock = folder_.lock(Mode::shared);
  if (!lock.is_held()) return locked_out();
  if (pack_ && (pack_->is_full() || !pack_->is_there())) pack_.reset();
  if (!pack_) {
    const fs::path path = folder_.new_pack();
    auto made = PackWriter::make(path);
    if (!made) return made.error();
    pack_.emplace(std::move(*made));
    unsynced_.push_back(path);
  }
  const auto packed = pack_->append(hash, bytes);
  if (!packed) return packed.error();
  packed_[hash] = {std::make_shared<const fs::path>(pack_->path()), packed->offset, packed->size};
  note_use(hash, pack_->path());
  ++stats_.stored;
  return {};
}

void TensorStore::count_unstored() {
  const std::lock_guard guard(mutex_);
  ++stats_.unstored;
}

bool TensorStore::has_room(std::uint64_t size) const {
  const StoreLimits& limits = policy_.limits();
  const auto free = free_space(folder_.path());
  return used_.count + size <= limits.limit.count && free && free->count >= size + limits.keep_free.count;
}

Result<void> TensorStore::make_room(std::uint64_t size) {
  constexpr std::chrono::seconds kLookAgain{10};  // looking reads all lists: not for each tensor of a load
  const std::lock_guard guard(mutex_);
  const auto is_known_full = [&] {
    return full_ && size >= full_->size && std::chrono::steady_clock::now() - full_->since < kLookAgain;
  };
  if (has_room(size) || (!is_known_full() && prune(Bytes{size}))) {
    used_ += Bytes{size};
    return {};
  }
  if (!is_known_full()) full_ = Full{size, std::chrono::steady_clock::now()};
  const StoreLimits& limits = policy_.limits();
  return Error{Code::exhausted,
               fmt::format("no room to store a tensor of {} in {}: limit {}, {} of the disk stay free",
                           format_bytes(Bytes{size}), for_people(folder_.path()), format_bytes(limits.limit),
                           format_bytes(limits.keep_free)),
               "free some space on that disk, or raise the store's limit: until then these weights are sent "
               "at every start"};
}

/// With mutex_ held, or before anybody else has the store.
bool TensorStore::prune(Bytes needed) {
  const FolderLock lock = folder_.lock(Mode::alone);
  if (!lock.is_held()) return false;
  const auto files = folder_.scan();
  std::vector<StoredItem> items;
  items.reserve(files.size());
  used_ = {};
  for (const StoreFile& file : files) {
    items.push_back(file.item);
    used_ += file.item.size;
  }
  const auto free = free_space(folder_.path());
  const PrunePlan plan = policy_.plan(items, needed, free ? *free : Bytes{}, wall_clock());
  for (const std::size_t i : plan.drop) {
    if (::unlink(files[i].path.c_str()) != 0) continue;
    used_.count -= files[i].item.size.count;
    ++stats_.pruned;
  }
  return plan.fits;
}

Result<void> TensorStore::flush() {
  std::vector<fs::path> paths;
  {
    const std::lock_guard guard(mutex_);
    if (unsynced_.empty()) return {};
    std::swap(paths, unsynced_);
    if (pack_) unsynced_.push_back(pack_->path());  // more may follow in it
  }
  paths.push_back(folder_.files());
  paths.push_back(folder_.packs());
  Result<void> result;
  for (const fs::path& path : paths) {
    if (auto synced = sync_path(path); !synced) result = synced;
  }
  return result;
}

StoreStats TensorStore::stats() const {
  const std::lock_guard guard(mutex_);
  return stats_;
}

Bytes TensorStore::used() const {
  const std::lock_guard guard(mutex_);
  const FolderLock lock = folder_.lock(Mode::alone);
  Bytes sum;
  for (const StoreFile& file : folder_.scan()) sum += file.item.size;
  return sum;
}

}  // namespace caravan::fabric
