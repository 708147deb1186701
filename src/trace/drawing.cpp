#include "trace/drawing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <fmt/format.h>

namespace caravan::trace {
namespace {

constexpr std::array<char, kKinds> kCharacters{'#', '~', '.', '>', '+'};
constexpr std::size_t kLeastColumns = 40;
constexpr std::size_t kMostName = 16;
constexpr double kNanosecondsInMs = 1e6;

char character_of(Kind kind) { return kCharacters[static_cast<std::size_t>(kind)]; }

/// The first characters of UTF-8.
std::string shortened(const std::string& text, std::size_t most) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (begins && ++characters > most) return text.substr(0, i);
  }
  return text;
}

std::size_t length_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string padded(const std::string& name, std::size_t width) {
  const std::string text = shortened(name, width);
  return text + std::string(width - length_of(text), ' ');
}

std::string row_of(const Lane& lane, const Window& window, std::size_t cells) {
  std::string row;
  row.reserve(cells);
  const double cell = static_cast<double>(window.end - window.begin) / static_cast<double>(cells);
  auto piece =
      std::ranges::partition_point(lane.pieces, [&](const Piece& one) { return one.end <= window.begin; });
  for (std::size_t i = 0; i < cells; ++i) {
    const double begin = static_cast<double>(window.begin) + cell * static_cast<double>(i);
    const double end = begin + cell;
    std::array<double, kKinds> time{};
    while (piece != lane.pieces.end() && static_cast<double>(piece->end) <= begin) ++piece;
    for (auto one = piece; one != lane.pieces.end() && static_cast<double>(one->begin) < end; ++one) {
      time[static_cast<std::size_t>(one->kind)] +=
          std::min(end, static_cast<double>(one->end)) - std::max(begin, static_cast<double>(one->begin));
    }
    const auto most = std::ranges::max_element(time);
    row += *most > 0 ? kCharacters[static_cast<std::size_t>(most - time.begin())] : ' ';
  }
  return row;
}

/// "0", then where the steps begin, and the end.
std::string ruler(const Timeline& timeline, const Window& window, std::size_t cells) {
  std::string row(cells, ' ');
  const double cell = static_cast<double>(window.end - window.begin) / static_cast<double>(cells);
  for (const StepTimes& step : timeline.steps) {
    if (step.begin < window.begin || step.begin >= window.end) continue;
    const auto at = static_cast<std::size_t>(static_cast<double>(step.begin - window.begin) / cell);
    row[std::min(at, cells - 1)] = '|';
  }
  const std::string end =
      fmt::format(" {:.1f} ms", static_cast<double>(window.end - window.begin) / kNanosecondsInMs);
  return row.replace(cells - std::min(cells, end.size()), std::string::npos, end);
}

}  // namespace

std::optional<Window> usual_tokens(const Timeline& timeline, std::size_t most) {
  const std::vector<StepTimes>& steps = timeline.steps;
  std::vector<Nanoseconds> periods;
  for (const StepTimes& step : steps) {
    if (step.is_decode && step.is_whole) periods.push_back(step.period);
  }
  if (periods.empty() || most == 0) return {};
  const auto middle = periods.begin() + static_cast<std::ptrdiff_t>(periods.size() / 2);
  std::ranges::nth_element(periods, middle);
  const auto usual = static_cast<double>(*middle);

  std::optional<Window> best;
  double best_strangeness = 0;
  for (std::size_t first = 0; first < steps.size(); ++first) {
    Window window{steps[first].begin, steps[first].begin, 0};
    double strangeness = 0;
    for (std::size_t i = first; i < steps.size() && window.steps < most; ++i) {
      const StepTimes& step = steps[i];
      if (!step.is_decode || !step.is_whole || step.begin < window.end) break;
      if (window.steps > 0 && step.begin != window.end) break;
      window.end = step.begin + step.period;
      ++window.steps;
      strangeness += std::abs(static_cast<double>(step.period) - usual);
    }
    if (window.steps == 0 || window.end <= window.begin) continue;
    const bool is_better = !best || window.steps > best->steps ||
                           (window.steps == best->steps && strangeness < best_strangeness);
    if (!is_better) continue;
    best = window;
    best_strangeness = strangeness;
  }
  return best;
}

std::optional<Window> longest_prompt(const Timeline& timeline) {
  std::optional<Window> longest;
  std::optional<Window> now;
  for (const StepTimes& step : timeline.steps) {
    if (step.is_decode) {
      now.reset();
      continue;
    }
    if (!now) now = Window{step.begin, step.begin, 0};
    now->end = std::max(now->end, step.end);
    ++now->steps;
    if (now->steps > 1 && now->end > now->begin && (!longest || now->steps > longest->steps)) longest = now;
  }
  return longest;
}

std::string legend() {
  return fmt::format("{} computes   {} its input is on the way   {} waits   {} hands on   {} stores",
                     character_of(Kind::compute), character_of(Kind::wire), character_of(Kind::wait),
                     character_of(Kind::send), character_of(Kind::load));
}

std::vector<std::string> draw(const Timeline& timeline, const Window& window,
                              const std::vector<std::string>& names, std::size_t columns) {
  std::size_t width = length_of(timeline.master.name);
  for (const std::string& name : names) width = std::max(width, length_of(name));
  width = std::min(width, kMostName);
  const std::size_t cells = std::max(columns, kLeastColumns) - width - 4;
  std::vector<std::string> lines;
  lines.reserve(timeline.stages.size() + 2);
  lines.push_back("  " + std::string(width, ' ') + "  " + ruler(timeline, window, cells));
  lines.push_back("  " + padded(timeline.master.name, width) + "  " + row_of(timeline.master, window, cells));
  for (std::size_t i = 0; i < timeline.stages.size(); ++i) {
    const std::string& name = i < names.size() ? names[i] : timeline.stages[i].name;
    lines.push_back("  " + padded(name, width) + "  " + row_of(timeline.stages[i], window, cells));
  }
  return lines;
}

}  // namespace caravan::trace
