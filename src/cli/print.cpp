#include "cli/print.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>

#include <fmt/format.h>

#include "base/files.h"
#include "base/json.h"
#include "base/text.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kLogLine{5};
constexpr std::size_t kUsualColumns = 80;

}  // namespace

int print_error(const Error& error) {
  std::fflush(stdout);
  const char* prefix = error.code == Code::interrupted ? "" : "error: ";
  fmt::print(stderr, "{}{}\n", prefix, printable(error.message));
  if (!error.hint.empty()) fmt::print(stderr, "  hint: {}\n", printable(error.hint));
  return exit_code_of(error.code);
}

int print_error(const Error& error, bool json) {
  if (!json) return print_error(error);
  fmt::print("{}\n", dump_json(Json{{"error", to_json(error)}}));
  return exit_code_of(error.code);
}

bool is_terminal(std::FILE* file) {
  return ::isatty(::fileno(file)) == 1 && environment("TERM").value_or("dumb") != "dumb";
}

std::size_t columns_of(std::FILE* file) {
  if (!is_terminal(file)) return 0;
  winsize size{};
  const bool known = ::ioctl(::fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUsualColumns;
}

std::string cut(const std::string& text, std::size_t columns) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins_character = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (begins_character && ++characters > columns) return text.substr(0, i);
  }
  return text;
}

ProgressLine::ProgressLine(std::FILE* out) : ProgressLine(out, columns_of(out), Clock::now) {}

ProgressLine::ProgressLine(std::FILE* out, std::size_t columns, std::function<TimePoint()> now)
    : out_(out), columns_(columns), now_(std::move(now)) {}

void ProgressLine::update(const std::string& text) {
  const TimePoint now = now_();
  const Clock::duration pause = columns_ > 0 ? Clock::duration(kRedraw) : Clock::duration(kLogLine);
  if (last_ && now - *last_ < pause) return;
  last_ = now;
  if (columns_ > 0) {
    fmt::print(out_, "\r\x1b[K{}", cut(printable(text), columns_ - 1));
    shown_ = true;
  } else {
    fmt::print(out_, "{}\n", printable(text));
  }
  std::fflush(out_);
}

void ProgressLine::clear() {
  if (shown_) fmt::print(out_, "\r\x1b[K");
  std::fflush(out_);
  shown_ = false;
  last_.reset();
}

void LiveBlock::update(const std::vector<std::string>& lines) {
  const std::size_t columns = columns_of(out_);  // it may have been turned or resized
  std::string frame;
  if (shown_ > 0) frame = fmt::format("\x1b[{}A", shown_);
  frame += "\r\x1b[J";
  for (const std::string& line : lines) frame += cut(printable(line), columns > 0 ? columns - 1 : 0) + "\n";
  if (frame == last_) return;
  fmt::print(out_, "{}", frame);
  std::fflush(out_);
  shown_ = lines.size();
  last_ = std::move(frame);
}

void LiveBlock::clear() {
  if (shown_ > 0) fmt::print(out_, "\x1b[{}A\r\x1b[J", shown_);
  std::fflush(out_);
  shown_ = 0;
  last_.clear();
}

std::string progress_text(std::string_view what, const model::Progress& progress) {
  using Phase = model::Progress::Phase;
  std::string text(what);
  if (progress.phase != Phase::downloading) text += fmt::format("  {}", name_of(progress.phase));
  if (progress.phase == Phase::waiting) return text + ": " + progress.note;
  if (progress.phase == Phase::connecting && progress.done == Bytes{}) return text;
  text += fmt::format("  {}", format_bytes(progress.done));
  if (progress.total && *progress.total > Bytes{}) {
    const double share =
        static_cast<double>(progress.done.count) / static_cast<double>(progress.total->count);
    text += fmt::format(" of {}  {:.0f}%", format_bytes(*progress.total), 100 * share);
  }
  if (progress.bytes_per_second >= 1) {
    text += fmt::format("  {}/s", format_bytes(Bytes{static_cast<std::uint64_t>(progress.bytes_per_second)}));
  }
  if (progress.remaining) text += fmt::format("  {} left", format_duration(*progress.remaining));
  return text;
}

}  // namespace caravan::cli
