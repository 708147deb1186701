#include "fabric/store/packing.h"

#include <zlib.h>

#include <new>

#include <ggml.h>

namespace caravan::fabric {
namespace {

constexpr int kRawDeflate = -15;  ///< RFC 1951 without zlib's header: the tensor has a better checksum
constexpr int kMemoryLevel = 9;

/// All first bytes of the values, then all second ones and so on; what is left at the end stays as it is. The
/// bytes that hold exponents are alike, those of mantissas are noise: apart, each gets the code that fits it.
void split_planes(std::string_view bytes, unsigned width, std::string& planes) {
  planes.resize(bytes.size());
  const std::size_t values = bytes.size() / width;
  for (unsigned plane = 0; plane < width; ++plane) {
    for (std::size_t i = 0; i < values; ++i) planes[plane * values + i] = bytes[i * width + plane];
  }
  for (std::size_t i = values * width; i < bytes.size(); ++i) planes[i] = bytes[i];
}

void join_planes(std::string_view planes, unsigned width, std::span<char> out) {
  const std::size_t values = out.size() / width;
  for (unsigned plane = 0; plane < width; ++plane) {
    for (std::size_t i = 0; i < values; ++i) out[i * width + plane] = planes[plane * values + i];
  }
  for (std::size_t i = values * width; i < out.size(); ++i) out[i] = planes[i];
}

Bytef* bytes_of(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // zlib's input is not const, nor changed
}

Error damaged(const char* why) { return Error{Code::invalid, why, "load the model again"}; }

}  // namespace

std::optional<unsigned> packed_width(std::uint32_t ggml_type) {
  switch (ggml_type) {
    case GGML_TYPE_F32:
      return 4;
    case GGML_TYPE_F16:
    case GGML_TYPE_BF16:
      return 2;
    default:
      return std::nullopt;
  }
}

std::optional<std::string> pack(std::string_view bytes, unsigned width) {
  const std::size_t worth_it = bytes.size() - bytes.size() / 16;
  if (bytes.empty() || bytes.size() > kMaxPackedChunk || width == 0) return std::nullopt;
  std::string planes;
  split_planes(bytes, width, planes);
  z_stream stream{};
  // noise has no repetitions worth looking for: codes alone save more than level 1, in half the time
  if (deflateInit2(&stream, 1, Z_DEFLATED, kRawDeflate, kMemoryLevel, Z_HUFFMAN_ONLY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string packed(worth_it, '\0');
  stream.next_in = bytes_of(planes);
  stream.avail_in = static_cast<uInt>(planes.size());
  stream.next_out = bytes_of(packed);
  stream.avail_out = static_cast<uInt>(packed.size());
  const bool fits = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  if (!fits) return std::nullopt;
  return packed;
}

Result<void> unpack(std::string_view packed, unsigned width, std::span<char> out) {
  if (out.size() > kMaxPackedChunk || packed.size() > kMaxPackedChunk || width == 0) {
    return damaged("packed weights of an impossible size");
  }
  std::string planes(out.size() + 1, '\0');  // a byte too many is seen when it is written
  z_stream stream{};
  if (inflateInit2(&stream, kRawDeflate) != Z_OK) throw std::bad_alloc();
  stream.next_in = bytes_of(packed);
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = bytes_of(planes);
  stream.avail_out = static_cast<uInt>(planes.size());
  const bool ended = inflate(&stream, Z_FINISH) == Z_STREAM_END;
  const std::size_t got = planes.size() - stream.avail_out;
  const bool all_used = stream.avail_in == 0;
  inflateEnd(&stream);
  if (!ended || !all_used) return damaged("packed weights that are damaged");
  if (got != out.size()) return damaged("packed weights of another size than was promised");
  join_planes(std::string_view(planes).substr(0, got), width, out);
  return {};
}

}  // namespace caravan::fabric
