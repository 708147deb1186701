// How commands speak to a person: errors with their cure, and one line of progress that is redrawn.
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "model/progress.h"

namespace caravan::cli {

/// Writes "error: cause" (without "error: " when it was interrupted) and "  hint: cure" to stderr; returns
/// the exit code that belongs to the error.
int print_error(const Error& error);
/// The same, or with `json` one line {"error": {...}} on stdout.
int print_error(const Error& error, bool json);

/// Whether a person sees what is written there as it comes: a terminal that can redraw a line.
bool is_terminal(std::FILE* file);

/// How wide that terminal is now; 0 when it is none.
std::size_t columns_of(std::FILE* file);
/// The first `columns` characters of UTF-8: a longer line would wrap, and then could not be redrawn.
std::string cut(const std::string& text, std::size_t columns);

/// A line that is redrawn in place on a terminal. Where `out` is none, a line is written at most every five
/// seconds, so that logs stay short.
class ProgressLine {
 public:
  explicit ProgressLine(std::FILE* out = stdout);
  /// For tests: `columns` = 0 is no terminal.
  ProgressLine(std::FILE* out, std::size_t columns, std::function<TimePoint()> now);
  void update(const std::string& text);
  /// Takes the line away (on a terminal), so that something else can be printed.
  void clear();

 private:
  std::FILE* out_;
  std::size_t columns_;
  std::function<TimePoint()> now_;
  bool shown_ = false;
  std::optional<TimePoint> last_;
};

/// Some lines that are redrawn in place. For a terminal only.
class LiveBlock {
 public:
  explicit LiveBlock(std::FILE* out) : out_(out) {}
  /// Each line is cut to the terminal's width; nothing is written when nothing has changed.
  void update(const std::vector<std::string>& lines);
  /// Takes the lines away, so that something else can be printed.
  void clear();

 private:
  std::FILE* out_;
  std::size_t shown_ = 0;
  std::string last_;
};

/// "pull smollm2-135m  45.1 MiB of 93.8 MiB  48%  12.3 MiB/s  4 s left": `what`, then how far it is.
std::string progress_text(std::string_view what, const model::Progress& progress);

}  // namespace caravan::cli
