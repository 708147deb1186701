#include "cli/text_table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace caravan::cli {
namespace {

constexpr std::size_t kGap = 2;

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};
constexpr std::array<Range, 10> kWide{{{0x1100, 0x115f},
                                       {0x26a1, 0x26a1},
                                       {0x2e80, 0xa4cf},
                                       {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff},
                                       {0xfe30, 0xfe6f},
                                       {0xff00, 0xff60},
                                       {0xffe0, 0xffe6},
                                       {0x1f300, 0x1faff},
                                       {0x20000, 0x3fffd}}};
constexpr std::array<Range, 3> kNone{{{0x0300, 0x036f}, {0x200b, 0x200f}, {0xfe00, 0xfe0f}}};

template <std::size_t count>
bool is_in(const std::array<Range, count>& ranges, std::uint32_t character) {
  return std::any_of(ranges.begin(), ranges.end(), [character](const Range& range) {
    return range.first <= character && character <= range.last;
  });
}

std::size_t places_of(std::uint32_t character) {
  if (is_in(kNone, character)) return 0;
  return is_in(kWide, character) ? 2 : 1;
}

struct Chosen {
  std::size_t index = 0;
  std::size_t width = 0;
  int spare = 0;
};

std::size_t width_of(const std::vector<Chosen>& columns) {
  std::size_t width = 0;
  for (const Chosen& column : columns) width += kGap + column.width;
  return width;
}

std::string line_of(const std::vector<std::string>& cells, const std::vector<Chosen>& columns) {
  std::string line;
  for (const Chosen& column : columns) {
    const std::string& cell = cells.at(column.index);
    line += std::string(kGap, ' ') + cell + std::string(column.width - places(cell), ' ');
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

}  // namespace

std::size_t places(std::string_view text) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    std::uint32_t character = length == 1 ? first : first & (0x7fU >> length);
    for (std::size_t k = 1; k < length && i + k < text.size(); ++k)
      character = (character << 6U) | (static_cast<unsigned char>(text[i + k]) & 0x3fU);
    sum += places_of(character);
    i += length;
  }
  return sum;
}

std::vector<std::string> table_lines(const std::vector<TableColumn>& columns,
                                     const std::vector<std::vector<std::string>>& rows, std::size_t most) {
  std::vector<Chosen> chosen;
  std::vector<std::string> titles;
  chosen.reserve(columns.size());
  titles.reserve(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    titles.push_back(columns[i].title);
    std::size_t widest = 0;
    for (const auto& row : rows) widest = std::max(widest, places(row.at(i)));
    if (widest > 0) chosen.push_back({i, std::max(widest, places(titles.back())), columns[i].spare});
  }
  while (width_of(chosen) > most) {
    const auto next = std::max_element(chosen.begin(), chosen.end(),
                                       [](const Chosen& a, const Chosen& b) { return a.spare < b.spare; });
    if (next == chosen.end() || next->spare == 0) break;
    chosen.erase(next);
  }
  std::vector<std::string> lines;
  lines.reserve(rows.size() + 1);
  lines.push_back(line_of(titles, chosen));
  for (const auto& row : rows) lines.push_back(line_of(row, chosen));
  return lines;
}

}  // namespace caravan::cli
