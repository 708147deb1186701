#include "link/measure_frame.h"

#include <fmt/format.h>

namespace caravan::link {
namespace {

constexpr std::size_t kNumberBytes = 8;

Error wrong(std::string what) {
  return Error{Code::invalid, "the other side does not speak the measuring protocol: " + std::move(what),
               "both devices need the same version of Caravan"};
}

/// What a frame of that kind may carry; false for a kind that there is not.
bool length_fits(std::uint8_t kind, std::size_t length) {
  switch (static_cast<FrameKind>(kind)) {
    case FrameKind::hello:
      return length == kNumberBytes;
    case FrameKind::echo:
    case FrameKind::data:
      return length <= kMaxFrameBytes;
    case FrameKind::end:
    case FrameKind::done:
      return length == 0;
    case FrameKind::received:
    case FrameKind::request:
      return length == 2 * kNumberBytes;
  }
  return false;
}

}  // namespace

std::string encode_frame(FrameKind kind, std::string_view payload) {
  std::string frame(1, static_cast<char>(kind));
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>((payload.size() >> shift) & 0xFFU);
  frame += payload;
  return frame;
}

Result<FrameHeader> decode_frame_header(std::span<const unsigned char, kFrameHeaderBytes> bytes) {
  std::size_t length = 0;
  for (std::size_t i = 1; i < kFrameHeaderBytes; ++i) length = length << 8U | bytes[i];
  if (!length_fits(bytes[0], length))
    return wrong(fmt::format("a frame of kind {} with {} bytes", bytes[0], length));
  return FrameHeader{static_cast<FrameKind>(bytes[0]), length};
}

std::string encode_numbers(std::span<const std::uint64_t> numbers) {
  std::string payload;
  for (const std::uint64_t number : numbers) {
    for (int shift = 56; shift >= 0; shift -= 8) payload += static_cast<char>((number >> shift) & 0xFFU);
  }
  return payload;
}

Result<void> decode_numbers(std::string_view payload, std::span<std::uint64_t> numbers) {
  if (payload.size() != numbers.size() * kNumberBytes)
    return wrong(fmt::format("{} bytes for {} numbers", payload.size(), numbers.size()));
  for (std::size_t i = 0; i < payload.size(); ++i) {
    std::uint64_t& number = numbers[i / kNumberBytes];
    number = (i % kNumberBytes == 0 ? 0 : number << 8U) | static_cast<unsigned char>(payload[i]);
  }
  return {};
}

}  // namespace caravan::link
