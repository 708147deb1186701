#include "fabric/store/pack.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "fabric/store/codec.h"
#include "fabric/store/file_io.h"

namespace caravan::fabric {
namespace {

constexpr std::string_view kMagic = "CVPACK1\n";
constexpr std::uint32_t kRecordMagic = 0x4b505643U;  // "CVPK"
constexpr std::size_t kRecordHeader = 4 + 4 + sizeof(Digest);

}  // namespace

std::vector<PackedTensor> list_pack(int fd, std::uint64_t file_size) {
  std::vector<PackedTensor> found;
  std::array<char, kMagic.size()> magic{};
  if (read_at(fd, magic.data(), 0, magic.size()) != static_cast<ssize_t>(magic.size()) ||
      std::string_view(magic.data(), magic.size()) != kMagic) {
    return found;
  }
  std::uint64_t at = kMagic.size();
  if (file_size < at) return found;
  std::array<char, kRecordHeader> header{};
  while (found.size() < kMaxPackRecords && file_size - at >= kRecordHeader) {
    if (read_at(fd, header.data(), at, header.size()) != static_cast<ssize_t>(header.size())) return found;
    Taker taker({header.data(), header.size()});
    const auto record_magic = taker.number<std::uint32_t>();
    PackedTensor tensor;
    tensor.size = taker.number<std::uint32_t>();
    tensor.hash = taker.digest();
    tensor.offset = at + kRecordHeader;
    if (record_magic != kRecordMagic || tensor.size > kMaxPacked || tensor.size > file_size - tensor.offset) {
      return found;
    }
    at = tensor.offset + tensor.size;
    found.push_back(tensor);
  }
  return found;
}

Result<PackWriter> PackWriter::make(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) return errno_error(fmt::format("cannot write {}", path.string()), errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno_error(fmt::format("cannot lock {}", path.string()), errno);
  }
  PackWriter pack(path, std::move(file));
  if (const int failed = write_at(pack.file_.get(), kMagic, 0); failed != 0) {
    ::unlink(path.c_str());
    return errno_error(fmt::format("cannot write {}", path.string()), failed);
  }
  pack.end_ = kMagic.size();
  return pack;
}

bool PackWriter::is_there() const { return is_same_file(path_, file_.get()); }

Result<PackedTensor> PackWriter::append(const Digest& hash, std::string_view bytes) {
  if (bytes.size() > kMaxPacked) return Error{Code::bug, "a tensor that is too large for a pack", ""};
  std::string record;
  record.reserve(kRecordHeader + bytes.size());
  put(record, kRecordMagic);
  put(record, static_cast<std::uint32_t>(bytes.size()));
  put(record, hash);
  record += bytes;
  if (const int failed = write_at(file_.get(), record, end_); failed != 0) {
    (void)::ftruncate(file_.get(), static_cast<off_t>(end_));  // what is left is found out by its hash
    return errno_error(fmt::format("cannot write {}", path_.string()), failed);
  }
  const PackedTensor tensor{hash, bytes.size(), end_ + kRecordHeader};
  end_ += record.size();
  ++records_;
  return tensor;
}

}  // namespace caravan::fabric
