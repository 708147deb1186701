// Lays out a table for a terminal: empty columns are left out, and what matters least where it is too wide.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caravan::cli {

struct TableColumn {
  std::string title;
  /// Where the table is too wide, the column with the highest number above 0 goes first.
  int spare = 0;
};

/// Places that UTF-8 text takes on a terminal: two for wide characters (East Asian, most emoji; a part of
/// Unicode's table, UAX #11), none for what only modifies the one before.
std::size_t places(std::string_view text);

/// A line with the titles, then one for each row. Each row has a cell for each column. Wider than `most`
/// places only when no column can be spared any more.
std::vector<std::string> table_lines(const std::vector<TableColumn>& columns,
                                     const std::vector<std::vector<std::string>>& rows, std::size_t most);

}  // namespace caravan::cli
