#include "engine/sse.h"

#include <utility>

namespace caravan::engine {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

SseDecoder::SseDecoder(std::size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

std::vector<std::string> SseDecoder::feed(std::string_view bytes) {
  std::vector<std::string> payloads;
  while (!bytes.empty() && !failed_) {
    if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
      // The second half of a CRLF. After a blank line it belongs to what is finished.
      if (unfinished_ > 0) ++unfinished_;
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::size_t taken = end == std::string_view::npos ? bytes.size() : end + 1;
    unfinished_ += taken;
    if (unfinished_ > max_event_bytes_) {
      failed_ = true;
      break;
    }
    line_ += bytes.substr(0, end);
    if (end != std::string_view::npos) {
      after_cr_ = bytes[end] == '\r';
      end_line(payloads);
    }
    bytes.remove_prefix(taken);
  }
  return payloads;
}

void SseDecoder::end_line(std::vector<std::string>& payloads) {
  std::string_view line = line_;
  if (std::exchange(first_line_, false) && line.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    line.remove_prefix(kByteOrderMark.size());
  }
  if (line.empty()) {
    if (std::exchange(has_data_, false)) payloads.push_back(std::exchange(data_, {}));
    unfinished_ = 0;
  } else {
    const std::size_t colon = line.find(':');
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (line.substr(0, colon) == "data") {
      if (std::exchange(has_data_, true)) data_ += '\n';
      data_ += value;
    }
  }
  line_.clear();
}

}  // namespace caravan::engine
