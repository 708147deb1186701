#include "fabric/store/manifest.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "fabric/store/codec.h"

namespace caravan::fabric {
namespace {

constexpr std::string_view kMagic = "CVNHASH\n";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kMaxPath = 4096;
constexpr std::size_t kLeastTensor = 2 + 4 + 4 * 8 + 8 + sizeof(Digest);

Error damaged(std::string_view why) {
  return Error{Code::incompatible, fmt::format("the manifest is damaged: {}", why),
               "delete it: the model is hashed again"};
}

void put_tensor(std::string& out, const HashedTensor& tensor) {
  put(out, static_cast<std::uint16_t>(tensor.where.name.size()));
  out += tensor.where.name;
  put(out, tensor.where.type);
  for (const std::uint64_t length : tensor.where.shape) put(out, length);
  put(out, tensor.where.offset);
  put(out, tensor.hash);
}

/// The size is not in the file: type and shape give it.
bool take_tensor(Taker& taker, std::uint64_t file_size, HashedTensor& tensor) {
  const auto length = taker.number<std::uint16_t>();
  if (length > kMaxTensorName) return false;
  tensor.where.name = taker.bytes(length);
  tensor.where.type = taker.number<std::uint32_t>();
  for (std::uint64_t& dimension : tensor.where.shape) dimension = taker.number<std::uint64_t>();
  tensor.where.offset = taker.number<std::uint64_t>();
  tensor.hash = taker.digest();
  if (taker.failed()) return false;
  const auto bytes = tensor_bytes(tensor.where.type, tensor.where.shape);
  tensor.where.bytes = bytes.value_or(0);
  return bytes && tensor.where.offset <= file_size && *bytes <= file_size - tensor.where.offset;
}

}  // namespace

std::string encode(const FileManifest& manifest) {
  std::string out(kMagic);
  put(out, kVersion);
  put(out, static_cast<std::uint32_t>(manifest.path.size()));
  out += manifest.path;
  put(out, manifest.identity.size);
  put(out, manifest.identity.inode);
  put(out, manifest.identity.mtime_ns);
  put(out, manifest.identity.ctime_ns);
  put(out, manifest.split.count);
  put(out, manifest.split.number);
  put(out, manifest.split.tensors);
  put(out, static_cast<std::uint32_t>(manifest.tensors.size()));
  for (const HashedTensor& tensor : manifest.tensors) put_tensor(out, tensor);
  put(out, digest_of(out));
  return out;
}

Result<FileManifest> decode_manifest(std::string_view bytes) {
  if (bytes.size() > kMaxManifest.count) return damaged("it is too long");
  if (bytes.substr(0, kMagic.size()) != kMagic) return damaged("it does not begin like one");
  if (bytes.size() < kMagic.size() + sizeof(Digest)) return damaged("it is cut off");
  const std::string_view content = bytes.substr(0, bytes.size() - sizeof(Digest));
  if (Taker(bytes.substr(content.size())).digest() != digest_of(content)) return damaged("its hash is wrong");
  Taker taker(content.substr(kMagic.size()));
  if (const auto version = taker.number<std::uint32_t>(); version != kVersion) {
    return Error{Code::incompatible, fmt::format("the manifest is of version {}", version), ""};
  }
  FileManifest manifest;
  const auto path_length = taker.number<std::uint32_t>();
  if (path_length > kMaxPath) return damaged("a path that is too long");
  manifest.path = taker.bytes(path_length);
  manifest.identity.size = taker.number<std::uint64_t>();
  manifest.identity.inode = taker.number<std::uint64_t>();
  manifest.identity.mtime_ns = taker.number<std::int64_t>();
  manifest.identity.ctime_ns = taker.number<std::int64_t>();
  manifest.split.count = taker.number<std::uint32_t>();
  manifest.split.number = taker.number<std::uint32_t>();
  manifest.split.tensors = taker.number<std::uint32_t>();
  const auto count = taker.number<std::uint32_t>();
  if (taker.failed() || count > kMaxTensors || count > taker.left() / kLeastTensor) {
    return damaged("it is cut off");
  }
  manifest.tensors.resize(count);
  for (HashedTensor& tensor : manifest.tensors) {
    if (!take_tensor(taker, manifest.identity.size, tensor)) return damaged("an impossible tensor");
  }
  if (taker.left() > 0) return damaged("something follows its end");
  return manifest;
}

Result<Manifest> Manifest::join(std::vector<FileManifest> files) {
  Manifest manifest;
  manifest.files_ = std::move(files);
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < manifest.files_.size(); ++i) {
    const FileManifest& file = manifest.files_[i];
    if (file.split.count != manifest.files_.size() || (file.split.count > 1 && file.split.number != i)) {
      return Error{Code::incompatible,
                   fmt::format("{} is part {} of {}, not {} of {}", file.path, file.split.number + 1,
                               file.split.count, i + 1, manifest.files_.size()),
                   "keep the shards of a model under their own names, x-00001-of-00003.gguf, in one folder"};
    }
    expected = std::max<std::uint64_t>(expected, file.split.tensors);
    for (std::size_t t = 0; t < file.tensors.size(); ++t) {
      const std::string& name = file.tensors[t].where.name;
      if (manifest.by_name_.emplace(name, Index{i, t}).second) continue;
      return Error{Code::incompatible,
                   fmt::format("{} has a second tensor of the name '{}'", file.path, printable(name)),
                   "get all shards again, from one place"};
    }
  }
  if (manifest.files_.size() > 1 && expected != 0 && expected != manifest.by_name_.size()) {
    return Error{Code::incompatible,
                 fmt::format("{} and the other shards are of different models: {} tensors instead of {}",
                             manifest.files_.front().path, manifest.by_name_.size(), expected),
                 "get all shards again, from one place"};
  }
  return manifest;
}

Manifest::Entry Manifest::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  if (found == by_name_.end()) return {};
  return {found->second.file, &files_[found->second.file].tensors[found->second.tensor]};
}

const HashedTensor* Manifest::at(std::size_t file, std::uint64_t offset) const {
  if (file >= files_.size()) return nullptr;
  const auto& tensors = files_[file].tensors;
  const auto found = std::find_if(tensors.begin(), tensors.end(), [offset](const HashedTensor& tensor) {
    return tensor.where.offset == offset && tensor.where.bytes > 0;
  });
  return found == tensors.end() ? nullptr : &*found;
}

Bytes Manifest::bytes() const {
  Bytes sum;
  for (const FileManifest& file : files_) {
    for (const HashedTensor& tensor : file.tensors) sum += Bytes{tensor.where.bytes};
  }
  return sum;
}

}  // namespace caravan::fabric
