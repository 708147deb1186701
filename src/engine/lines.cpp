#include "engine/lines.h"

#include <algorithm>

namespace caravan::engine {

void LineSplitter::feed(std::string_view bytes, const OnLine& on_line) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    append(bytes.substr(0, end), on_line);
    if (end == std::string_view::npos) return;
    end_line(on_line);
    bytes.remove_prefix(end + 1);
  }
}

void LineSplitter::finish(const OnLine& on_line) {
  if (!line_.empty()) end_line(on_line);
}

void LineSplitter::append(std::string_view bytes, const OnLine& on_line) {
  if (skipping_) return;
  line_ += bytes.substr(0, std::min(bytes.size(), max_bytes_ - line_.size()));
  if (line_.size() < max_bytes_) return;
  on_line(line_);
  line_.clear();
  skipping_ = true;
}

void LineSplitter::end_line(const OnLine& on_line) {
  if (!skipping_) {
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    on_line(line_);
  }
  line_.clear();
  skipping_ = false;
}

}  // namespace caravan::engine
