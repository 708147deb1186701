#include "fabric/module/contents.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/text.h"

namespace caravan::fabric {
namespace {

constexpr unsigned kMostThreads = 4;

/// All lines, at once: what is mapped may change between two reads of parts.
std::string own_maps() {
  std::ifstream file("/proc/self/maps", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Cuts the next word off.
std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

template <typename Number>
bool read_number(std::string_view text, int base, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc{} && end == text.data() + text.size();
}

std::optional<Mapping> mapping_in(std::string_view line, std::uintptr_t address) {
  const auto range = next_word(line);
  const auto dash = std::min(range.find('-'), range.size());
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (!read_number(range.substr(0, dash), 16, begin) || dash == range.size() ||
      !read_number(range.substr(dash + 1), 16, end) || address < begin || address >= end)
    return {};
  next_word(line);  // what may be done with it
  Mapping mapping;
  const auto offset = next_word(line);
  next_word(line);  // device
  const auto inode = next_word(line);
  if (!read_number(offset, 16, mapping.offset) || !read_number(inode, 10, mapping.inode) ||
      mapping.inode == 0)
    return {};
  mapping.offset += address - begin;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  mapping.path = line;
  return mapping;
}

}  // namespace

std::optional<Mapping> find_mapping(std::string_view maps, std::uintptr_t address) {
  while (!maps.empty()) {
    const auto line = maps.substr(0, maps.find('\n'));
    maps.remove_prefix(std::min(line.size() + 1, maps.size()));
    if (auto mapping = mapping_in(line, address)) return mapping;
  }
  return {};
}

Result<Contents> Contents::open(const fs::path& model, const fs::path& manifests) {
  HashingControl control;
  control.threads = std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads);
  auto manifest = ManifestCache(manifests).of_model(model, control);
  if (!manifest) return manifest.error();
  Contents contents(std::move(*manifest));
  const auto& files = contents.manifest_.files();
  contents.files_.reserve(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto file = open_for_reading(files[i].path);
    if (!file) return file.error();
    contents.files_.push_back(std::move(*file));
    for (const HashedTensor& tensor : files[i].tensors)
      contents.places_.try_emplace(tensor.hash, Place{i, tensor.where.offset, tensor.where.type});
  }
  return contents;
}

bool Contents::is_unchanged(std::size_t file) const {
  struct stat info {};
  return ::fstat(files_[file].get(), &info) == 0 && identity_of(info) == manifest_.files()[file].identity;
}

std::optional<Contents::Shown> Contents::shown_at(const char* data) const {
  // Looked up each time: what was mapped there a moment ago may be something else now.
  const auto mapping = find_mapping(own_maps(), reinterpret_cast<std::uintptr_t>(data));
  if (!mapping) return {};
  const auto& files = manifest_.files();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i].path != mapping->path || files[i].identity.inode != mapping->inode) continue;
    if (!is_unchanged(i)) return {};
    return Shown{i, mapping->offset};
  }
  return {};
}

std::optional<Content> Contents::of(const ggml_tensor& tensor, std::string_view bytes) const {
  const auto fits = [&](const HashedTensor* found) {
    return found != nullptr && found->where.type == static_cast<std::uint32_t>(tensor.type) &&
           found->where.bytes == bytes.size();
  };
  const auto shown = shown_at(bytes.data());
  const auto* mapped = shown ? manifest_.at(shown->file, shown->offset) : nullptr;
  if (fits(mapped)) return Content{mapped->hash, bytes.size()};
  const auto* named = manifest_.find(tensor.name).tensor;
  if (!fits(named) || digest_of(bytes) != named->hash) return {};
  return Content{named->hash, bytes.size()};
}

std::optional<Slice> Contents::slice_at(const char* data, const char* end, std::uint64_t piece,
                                        std::uint64_t stride) const {
  if (piece == 0 || end <= data) return {};
  const auto first = shown_at(data);
  const auto last = shown_at(end - 1);
  const auto distance = static_cast<std::uint64_t>(end - 1 - data);
  if (!first || !last || first->file != last->file || last->offset != first->offset + distance) return {};
  return Slice{first->file, first->offset, piece, stride};
}

Result<void> Contents::read(const Slice& slice, std::uint64_t offset, std::span<char> into) const {
  Sha256 unused;
  while (!into.empty()) {
    const auto within = offset % slice.piece;
    const auto size = std::min<std::uint64_t>(slice.piece - within, into.size());
    const auto at = slice.offset + offset / slice.piece * slice.stride + within;
    if (auto done = read_into(files_[slice.file].get(), at, into.first(size), unused); !done) return done;
    into = into.subspan(size);
    offset += size;
  }
  return {};
}

std::uint32_t Contents::type_of(const Content& content) const {
  const auto found = places_.find(content.hash);
  return found != places_.end() ? found->second.type : static_cast<std::uint32_t>(GGML_TYPE_COUNT);
}

Result<void> Contents::read(const Content& content, std::uint64_t offset, std::span<char> into) const {
  const auto found = places_.find(content.hash);
  if (found == places_.end()) return Error{Code::not_found, "a tensor that the model does not have", ""};
  Sha256 unused;
  return read_into(files_[found->second.file].get(), found->second.offset + offset, into, unused);
}

}  // namespace caravan::fabric
