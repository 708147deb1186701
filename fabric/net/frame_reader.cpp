#include "fabric/net/frame_reader.h"

#include <algorithm>
#include <cstring>

namespace caravan::fabric {
namespace {

constexpr std::size_t kReadAtOnce = std::size_t{64} << 10U;

}  // namespace

FrameReader::FrameReader(Channel& channel, Expecting expecting)
    : channel_(channel), expecting_(expecting), buffer_(kReadAtOnce) {}

Result<void> FrameReader::fill(std::size_t least, const SteadyTime* deadline) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (buffer_.size() - begin_ < least) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  while (end_ - begin_ < least) {
    const std::size_t most = ahead_ ? buffer_.size() - end_ : least - (end_ - begin_);
    const auto got = channel_.read_some(buffer_.data() + end_, most, deadline);
    if (!got) return got.error();
    end_ += *got;
  }
  return {};
}

Result<void> FrameReader::next(Frame& frame, const SteadyTime* deadline) {
  if (const auto filled = fill(kHeaderBytes, deadline); !filled) return filled.error();
  std::string head(buffer_.data() + begin_, kHeaderBytes);
  const std::string_view flags = std::string_view(head).substr(kFlagsAt);
  std::uint16_t seal = 0;
  FieldReader(flags).number(seal);
  const bool sealed = channel_.sealing();
  if (sealed) std::fill(head.begin() + kFlagsAt, head.end(), '\0');
  const auto header = read_header(head, expecting_);
  if (!header) return header.error();
  begin_ += kHeaderBytes;
  frame.type = header->type;
  frame.payload.resize(header->payload_bytes);
  std::size_t done = std::min<std::size_t>(frame.payload.size(), end_ - begin_);
  std::copy_n(buffer_.data() + begin_, done, frame.payload.data());
  begin_ += done;
  while (done < frame.payload.size()) {
    const auto got = channel_.read_some(frame.payload.data() + done, frame.payload.size() - done, deadline);
    if (!got) return got.error();
    done += *got;
  }
  if (sealed && seal != received_.next(head, frame.payload))
    return malformed(header->type, "it was changed on its way, or one before it was lost");
  return {};
}

Result<Frame> FrameReader::next(const SteadyTime* deadline) {
  Frame frame;
  if (const auto read = next(frame, deadline); !read) return read.error();
  return frame;
}

}  // namespace caravan::fabric
