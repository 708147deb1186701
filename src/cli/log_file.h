// Reads the end of a log and what comes after, also when another file takes its place.
#pragma once

#include <cstdint>
#include <string>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/result.h"

namespace caravan::cli {

class LogFile {
 public:
  explicit LogFile(fs::path path) : path_(std::move(path)) {}

  const fs::path& path() const { return path_; }
  /// Whether there was such a file when it was last looked for.
  bool is_there() const { return file_.get() >= 0; }

  /// Its last `lines` lines; what comes after them is for more(). "" when there is no such file. Once.
  Result<std::string> last_lines(std::size_t lines);

  /// What was written since the last call. When the file was renamed and made anew: the rest of the old one,
  /// then the new one. When it was shortened in place: what comes after its new end. A file that is not
  /// there is one that may come. Blocks for the reading only, at most 4 MiB at once.
  std::string more();

 private:
  bool open();
  std::string read_on(std::size_t limit);

  fs::path path_;
  Descriptor file_;
  std::uint64_t offset_ = 0;
};

/// Where the last `lines` lines of `text` begin. A line without an end at the end of the text is one.
std::size_t begin_of_last_lines(std::string_view text, std::size_t lines);

}  // namespace caravan::cli
