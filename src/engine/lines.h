// Cuts a stream of bytes into lines of bounded length. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace caravan::engine {

/// Lines end in LF or CRLF. Of a line that is longer than `max_bytes` the first `max_bytes` are handed out at
/// once and the rest is skipped, so that neither progress dots nor a flood without a line end can take more
/// memory.
class LineSplitter {
 public:
  using OnLine = std::function<void(std::string_view)>;

  explicit LineSplitter(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// `on_line` gets every line that `bytes` completes, without its end; the view is valid during the call
  /// only.
  void feed(std::string_view bytes, const OnLine& on_line);
  /// The stream has ended: hands out what came after the last line end, if anything did.
  void finish(const OnLine& on_line);

 private:
  void append(std::string_view bytes, const OnLine& on_line);
  void end_line(const OnLine& on_line);

  std::size_t max_bytes_;
  std::string line_;
  bool skipping_ = false;
};

}  // namespace caravan::engine
