#include "fabric/store/manifest_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace caravan::fabric {
namespace {

constexpr std::size_t kMaxKept = 512;  ///< manifests in a folder; about 20 KB each

Result<std::string> real_path(const fs::path& path) {
  std::error_code failure;
  const fs::path real = fs::canonical(path, failure);
  if (!failure) return real.string();
  return errno_error(fmt::format("cannot find {}", path.string()), failure.value());
}

std::optional<FileIdentity> identity_at(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return identity_of(info);
}

/// Hashes the tensors of one open file with several threads. The first error stops all of them.
class Hashing {
 public:
  Hashing(int fd, FileManifest& manifest, const HashingControl& control)
      : fd_(fd), manifest_(manifest), control_(control), order_(manifest.tensors.size()) {
    for (const HashedTensor& tensor : manifest.tensors) total_ += tensor.where.bytes;
    // the largest first: so that no thread has a large one left when the others are done
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&manifest](std::size_t a, std::size_t b) {
      return manifest.tensors[a].where.bytes > manifest.tensors[b].where.bytes;
    });
  }

  Result<void> run() {
    const std::size_t helpers = std::min<std::size_t>(std::max(1U, control_.threads), 64) - 1;
    std::vector<std::thread> threads;
    threads.reserve(helpers);
    for (std::size_t i = 0; i < helpers; ++i) threads.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : threads) thread.join();
    if (error_) return *error_;
    return {};
  }

 private:
  void work() {
    for (;;) {
      const std::size_t next = next_.fetch_add(1);
      if (next >= order_.size() || stopped_) return;
      HashedTensor& tensor = manifest_.tensors[order_[next]];
      if (const auto hashed = hash(tensor); !hashed) return stop(hashed.error());
    }
  }

  Result<void> hash(HashedTensor& tensor) {
    constexpr std::uint64_t kBetweenReports = 8U << 20U;
    Sha256 sha;
    for (std::uint64_t done = 0; done < tensor.where.bytes;) {
      if (stopped_) return {};
      if (control_.is_cancelled && control_.is_cancelled()) {
        return Error{Code::interrupted, "stopped while hashing " + manifest_.path, ""};
      }
      const std::uint64_t part = std::min(kBetweenReports, tensor.where.bytes - done);
      if (auto read = read_through(fd_, tensor.where.offset + done, part, sha, {}); !read) {
        return with_context(read.error(), manifest_.path);
      }
      done += part;
      report(part);
    }
    tensor.hash = sha.finish();
    return {};
  }

  void report(std::uint64_t part) {
    const std::lock_guard lock(mutex_);
    done_ += part;
    if (control_.on_progress) control_.on_progress(Bytes{done_}, Bytes{total_});
  }

  void stop(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
    stopped_ = true;
  }

  int fd_;
  FileManifest& manifest_;
  const HashingControl& control_;
  std::vector<std::size_t> order_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;      ///< guarded by mutex_
  std::optional<Error> error_;  ///< guarded by mutex_
};

bool is_settled(const FileIdentity& identity, std::chrono::seconds after) {
  using std::chrono::nanoseconds;
  const nanoseconds now = std::chrono::system_clock::now().time_since_epoch();
  return nanoseconds(std::max(identity.mtime_ns, identity.ctime_ns)) + after <= now;
}

/// "00002" → 2; nothing for what is not five digits.
std::optional<unsigned> five_digits(std::string_view text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.size() != 5 || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

/// Drops the oldest manifests when there are too many, so that the folder does not grow without end.
void thin_out(const fs::path& folder) {
  std::vector<std::pair<fs::file_time_type, fs::path>> kept;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
    std::error_code unknown;
    kept.emplace_back(it->last_write_time(unknown), it->path());
  }
  if (kept.size() <= kMaxKept) return;
  std::sort(kept.begin(), kept.end());
  kept.resize(kept.size() - kMaxKept);
  for (const auto& [time, path] : kept) fs::remove(path, failure);
}

}  // namespace

Result<FileManifest> hash_file(const fs::path& path, const HashingControl& control) {
  auto real = real_path(path);
  if (!real) return real.error();
  auto file = open_for_reading(*real);
  if (!file) return file.error();
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return errno_error(fmt::format("cannot read {}", *real), errno);
  FileManifest manifest;
  manifest.path = *real;
  manifest.identity = identity_of(info);
  const int fd = file->get();
  const ByteReader source{path.filename().string(), manifest.identity.size,
                          [fd](void* out, std::uint64_t offset, std::size_t length) {
                            const ssize_t got = read_at(fd, out, offset, length);
                            return static_cast<std::size_t>(std::max<ssize_t>(0, got));
                          }};
  auto layout = read_gguf_layout(source);
  if (!layout) return layout.error();
  manifest.split = layout->split;
  manifest.tensors.reserve(layout->tensors.size());
  for (GgufTensor& tensor : layout->tensors) manifest.tensors.push_back({std::move(tensor), {}});
  if (const auto hashed = Hashing(fd, manifest, control).run(); !hashed) return hashed.error();
  if (identity_at(*real) != manifest.identity) {
    return Error{Code::unavailable, fmt::format("{} changed while it was hashed", *real),
                 "try again when it is complete"};
  }
  return manifest;
}

fs::path ManifestCache::place_of(const std::string& path) const {
  return folder_ / (hex(digest_of(path)) + ".manifest");
}

std::optional<FileManifest> ManifestCache::kept(const fs::path& path) const {
  const auto real = real_path(path);
  if (!real) return std::nullopt;
  const auto bytes = read_file(place_of(*real), kMaxManifest);
  if (!bytes) return std::nullopt;
  auto manifest = decode_manifest(*bytes);
  if (!manifest || manifest->path != *real || identity_at(*real) != manifest->identity) return std::nullopt;
  return std::move(*manifest);
}

void ManifestCache::keep(const FileManifest& manifest) const {
  if (!make_private_folder(folder_)) return;
  thin_out(folder_);
  const fs::path place = place_of(manifest.path);
  // write_file_atomically names its temporary file by the process only, and there may be several threads
  const std::size_t thread = std::hash<std::thread::id>()(std::this_thread::get_id());
  const fs::path mine = fmt::format("{}.{}.{:x}", place.string(), ::getpid(), thread);
  std::error_code failure;
  if (write_file_atomically(mine, encode(manifest))) fs::rename(mine, place, failure);
  if (failure) fs::remove(mine, failure);
}

Result<FileManifest> ManifestCache::of_file(const fs::path& path, const HashingControl& control) const {
  if (auto known = kept(path)) return std::move(*known);
  auto manifest = hash_file(path, control);
  if (manifest && is_settled(manifest->identity, control.settled_after)) keep(*manifest);
  return manifest;
}

Result<Manifest> ManifestCache::of_model(const fs::path& path, const HashingControl& control) const {
  std::vector<FileManifest> files;
  const auto shards = shards_of(path);
  files.reserve(shards.size());
  for (const fs::path& shard : shards) {
    auto file = of_file(shard, control);
    if (!file && file.error().code == Code::not_found && shards.size() > 1) {
      return Error{Code::not_found,
                   fmt::format("{} is missing: the model has {} shards", shard.string(), shards.size()),
                   "get all of them into one folder"};
    }
    if (!file) return file.error();
    files.push_back(std::move(*file));
  }
  return Manifest::join(std::move(files));
}

std::vector<fs::path> shards_of(const fs::path& path) {
  // STEM-00002-of-00005.gguf, as llama_split_path in llama.cpp's src/llama.cpp writes it
  constexpr std::string_view kPattern = "-00001-of-00001.gguf";
  constexpr unsigned kMaxShards = 1000;
  const std::string name = path.string();
  if (name.size() <= kPattern.size()) return {path};
  const std::string stem = name.substr(0, name.size() - kPattern.size());
  const std::string_view rest = std::string_view(name).substr(stem.size());
  const auto number = five_digits(rest.substr(1, 5));
  const auto count = five_digits(rest.substr(10, 5));
  const bool fits = rest[0] == '-' && rest.substr(6, 4) == "-of-" && rest.substr(15) == ".gguf";
  if (!fits || !number || !count || *number == 0 || *number > *count || *count > kMaxShards) return {path};
  std::vector<fs::path> shards;
  shards.reserve(*count);
  for (unsigned i = 1; i <= *count; ++i) {
    shards.emplace_back(fmt::format("{}-{:05}-of-{:05}.gguf", stem, i, *count));
  }
  return shards;
}

}  // namespace caravan::fabric
