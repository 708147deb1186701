// How two nodes speak while they measure the link between them: small frames with checked lengths. Pure.
//
//   byte 0     kind, see FrameKind
//   bytes 1-4  length of what follows, big-endian, at most kMaxFrameBytes
//
// The measurer begins with `hello` (version) and gets `hello` back. `echo` comes back as it is. `data` frames
// towards the responder end with `end`, which is answered by `received` (bytes, microseconds). `request`
// (bytes, microseconds) is answered by `data` frames until one of both is reached, then `end`. `done` ends
// it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace caravan::link {

/// On the wire: numbers are never used again.
enum class FrameKind : std::uint8_t {
  hello = 1,
  echo = 2,
  data = 3,
  end = 4,
  received = 5,
  request = 6,
  done = 7
};

inline constexpr std::uint64_t kMeasureVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 5;
inline constexpr std::size_t kMaxFrameBytes = 64U << 10U;

struct FrameHeader {
  FrameKind kind = FrameKind::done;
  std::size_t length = 0;
};

/// Header and payload; the payload is at most kMaxFrameBytes.
std::string encode_frame(FrameKind kind, std::string_view payload);
/// Code::invalid for an unknown kind or a length that the kind cannot have.
Result<FrameHeader> decode_frame_header(std::span<const unsigned char, kFrameHeaderBytes> bytes);

/// Big-endian numbers of 64 bits, the payload of hello (1), received and request (2).
std::string encode_numbers(std::span<const std::uint64_t> numbers);
/// Code::invalid when the payload is not exactly that many.
Result<void> decode_numbers(std::string_view payload, std::span<std::uint64_t> numbers);

}  // namespace caravan::link
