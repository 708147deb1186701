#include "engine/lines.h"

#include <vector>

#include <gmock/gmock.h>

namespace caravan::engine {
namespace {

using testing::ElementsAre;

/// The lines of `text` when it arrives in pieces of `piece` bytes.
std::vector<std::string> lines_of(std::string_view text, std::size_t piece, std::size_t max_bytes = 100) {
  std::vector<std::string> lines;
  const auto collect = [&](std::string_view line) { lines.emplace_back(line); };
  LineSplitter splitter(max_bytes);
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    splitter.feed(text.substr(0, piece), collect);
  }
  splitter.finish(collect);
  return lines;
}

TEST(LineSplitter, SameLinesHoweverTheStreamIsCut) {
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 100U}) {
    EXPECT_THAT(lines_of("one\ntwo\r\n\nthree", piece), ElementsAre("one", "two", "", "three"));
  }
}

TEST(LineSplitter, NothingComesOfNothing) { EXPECT_THAT(lines_of("", 1), ElementsAre()); }

TEST(LineSplitter, AnUnendedLineComesAtTheEndOfTheStream) {
  EXPECT_THAT(lines_of("....", 1), ElementsAre("...."));
}

TEST(LineSplitter, OfATooLongLineOnlyTheBeginningIsKept) {
  for (const std::size_t piece : {1U, 4U, 100U}) {
    EXPECT_THAT(lines_of("abcdefghij\nk\n", piece, 4), ElementsAre("abcd", "k"));
  }
}

TEST(LineSplitter, ATooLongLineIsHandedOutBeforeItEnds) {
  std::vector<std::string> lines;
  LineSplitter splitter(4);
  splitter.feed("......", [&](std::string_view line) { lines.emplace_back(line); });
  EXPECT_THAT(lines, ElementsAre("...."));
}

}  // namespace
}  // namespace caravan::engine
