#include "fabric/store/local_source.h"

#include <algorithm>

#include <fmt/format.h>

namespace caravan::fabric {

Result<void> LocalSource::add(const fs::path& model, const ManifestCache& cache,
                              const HashingControl& control) {
  const auto manifest = cache.of_model(model, control);
  if (!manifest) return manifest.error();
  const std::lock_guard lock(mutex_);
  for (const FileManifest& file : manifest->files()) {
    for (const HashedTensor& tensor : file.tensors) {
      auto& places = places_[tensor.hash];
      const auto is_same = [&](const Place& place) {
        return place.path == file.path && place.offset == tensor.where.offset;
      };
      if (std::any_of(places.begin(), places.end(), is_same)) continue;
      places.push_back({file.path, tensor.where.offset, tensor.where.bytes});
    }
  }
  return {};
}

std::vector<LocalSource::Place> LocalSource::places_of(const Digest& hash, std::uint64_t size) const {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(hash);
  if (found == places_.end()) return {};
  std::vector<Place> places = found->second;
  const auto other_size = [size](const Place& place) { return place.size != size; };
  places.erase(std::remove_if(places.begin(), places.end(), other_size), places.end());
  return places;
}

void LocalSource::forget(const Digest& hash, const Place& place) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(hash);
  if (found == places_.end()) return;
  auto& places = found->second;
  const auto is_it = [&place](const Place& other) {
    return other.path == place.path && other.offset == place.offset;
  };
  places.erase(std::remove_if(places.begin(), places.end(), is_it), places.end());
  if (places.empty()) places_.erase(found);
}

/// Goes through all copies until one has the right content; those that do not are not tried again.
template <typename Read>
Result<void> LocalSource::try_places(const Digest& hash, std::uint64_t size, const Read& read) {
  const auto places = places_of(hash, size);
  for (const Place& place : places) {
    const auto file = open_for_reading(place.path);
    Sha256 sha;
    if (file && read(file->get(), place.offset, sha) && sha.finish() == hash) return {};
    forget(hash, place);
  }
  if (places.empty()) return Error{Code::not_found, "the tensor is in none of this device's models", ""};
  return Error{Code::not_found,
               fmt::format("{} has changed: a tensor in it is another one", places.front().path), ""};
}

bool LocalSource::has(const Digest& hash, std::uint64_t size) { return !places_of(hash, size).empty(); }

Result<void> LocalSource::read(const Digest& hash, std::span<char> out) {
  return try_places(hash, out.size(), [&](int fd, std::uint64_t offset, Sha256& sha) {
    return read_into(fd, offset, out, sha).ok();
  });
}

Result<void> LocalSource::stream(const Digest& hash, std::uint64_t size, const Sink& sink) {
  return try_places(hash, size, [&](int fd, std::uint64_t offset, Sha256& sha) {
    return read_through(fd, offset, size, sha, sink).ok();
  });
}

std::size_t LocalSource::tensors() const {
  const std::lock_guard lock(mutex_);
  return places_.size();
}

}  // namespace caravan::fabric
