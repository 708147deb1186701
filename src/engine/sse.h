// Decoder of Server-Sent Events (the stream format of OpenAI's API). Pure: bytes in, payloads out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace caravan::engine {

/// Follows the WHATWG rules: lines end in LF, CR or CRLF, `data:` lines of one event are joined by LF,
/// comments and all other fields are skipped. An event that has not ended when the stream ends is no event.
class SseDecoder {
 public:
  /// Memory is bounded by `max_event_bytes`: a longer event makes the decoder fail for good.
  explicit SseDecoder(std::size_t max_event_bytes = std::size_t{1} << 20U);

  /// The payloads of the events that `bytes` completes, wherever the stream happens to be cut into pieces.
  std::vector<std::string> feed(std::string_view bytes);

  bool failed() const { return failed_; }

  /// How many of the bytes fed stand after the last blank line: the part of an event that is not whole yet.
  std::size_t unfinished_bytes() const { return unfinished_; }

 private:
  void end_line(std::vector<std::string>& payloads);

  std::size_t max_event_bytes_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;
  bool first_line_ = true;
  bool failed_ = false;
  std::size_t unfinished_ = 0;
};

}  // namespace caravan::engine
