#include "fabric/net/seal.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "fabric/wire/fields.h"
#include "fabric/wire/limits.h"

namespace caravan::fabric {
namespace {

uLong add(uLong sum, std::string_view bytes) {
  return crc32_z(sum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

}  // namespace

std::uint16_t Seal::next(std::string_view header, std::string_view payload) {
  std::string number;
  FieldWriter(number).number(number_++);
  // Not crc32 of nothing: what is all zeros should not have a checksum of zero.
  const uLong sum = add(add(add(crc32_z(0, nullptr, 0), number), header), payload);
  return static_cast<std::uint16_t>((sum ^ (sum >> 16U)) & 0xffffU);
}

void Seal::put(std::string& bytes, std::size_t from) {
  while (from < bytes.size() && bytes.size() - from >= kHeaderBytes) {
    const std::string_view frame = std::string_view(bytes).substr(from);
    std::uint32_t size = 0;
    FieldReader(frame.substr(0, sizeof(size))).number(size);
    const auto flags = next(frame.substr(0, kHeaderBytes), frame.substr(kHeaderBytes, size));
    std::string written;
    FieldWriter(written).number(flags);
    bytes.replace(from + kFlagsAt, written.size(), written);
    from += kHeaderBytes + size;
  }
}

}  // namespace caravan::fabric
