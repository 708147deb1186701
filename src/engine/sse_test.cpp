#include "engine/sse.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace caravan::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Payloads = std::vector<std::string>;

TEST(SseDecoder, YieldsTheDataOfEachEvent) {
  SseDecoder decoder;
  EXPECT_THAT(decoder.feed("data: {\"a\":1}\n\ndata: [DONE]\n\n"), ElementsAre("{\"a\":1}", "[DONE]"));
}

TEST(SseDecoder, GivesTheSameEventsHoweverTheStreamIsCut) {
  const std::string stream =
      "\xEF\xBB\xBF"
      "data: one\r\n\r\n: ping\n\nevent: x\rdata:two\rdata: three\r\rid: 7\ndata\n\n";
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = first; second <= stream.size(); ++second) {
      SseDecoder decoder;
      Payloads all;
      for (const auto& piece :
           {stream.substr(0, first), stream.substr(first, second - first), stream.substr(second)}) {
        for (auto& payload : decoder.feed(piece)) all.push_back(std::move(payload));
      }
      ASSERT_THAT(all, ElementsAre("one", "two\nthree", "")) << "cut at " << first << " and " << second;
    }
  }
}

TEST(SseDecoder, SkipsCommentsAndOtherFields) {
  SseDecoder decoder;
  EXPECT_THAT(decoder.feed(":\n\nretry: 100\nevent: ping\n\ndatax: 1\n\n"), IsEmpty());
}

TEST(SseDecoder, StripsOneLeadingSpaceOnly) {
  SseDecoder decoder;
  EXPECT_THAT(decoder.feed("data:  a\n\ndata:b\n\n"), ElementsAre(" a", "b"));
}

TEST(SseDecoder, AnEventWithoutItsBlankLineIsNoEvent) {
  SseDecoder decoder;
  EXPECT_THAT(decoder.feed("data: half\n"), IsEmpty());
  EXPECT_THAT(decoder.feed("data: an event"), IsEmpty());
}

TEST(SseDecoder, CountsWhatIsNotFinished) {
  SseDecoder decoder;
  decoder.feed("data: a\n\ndata: b\r\n");
  EXPECT_EQ(decoder.unfinished_bytes(), 9U);
  decoder.feed("\r");
  EXPECT_EQ(decoder.unfinished_bytes(), 0U);
  decoder.feed("\n");
  EXPECT_EQ(decoder.unfinished_bytes(), 0U);
  decoder.feed("x");
  EXPECT_EQ(decoder.unfinished_bytes(), 1U);
}

TEST(SseDecoder, FailsOnAnEventThatIsTooLong) {
  SseDecoder decoder(16);
  EXPECT_THAT(decoder.feed("data: 12345678\n\n"), ElementsAre("12345678"));
  EXPECT_FALSE(decoder.failed());
  EXPECT_THAT(decoder.feed("data: 1\ndata: 2\ndata: 3\n\n"), IsEmpty());
  EXPECT_TRUE(decoder.failed());
  EXPECT_THAT(decoder.feed("\n\ndata: x\n\n"), IsEmpty());
}

TEST(SseDecoder, FailsOnALineWithoutEnd) {
  SseDecoder decoder(1000);
  for (int i = 0; i < 11; ++i) decoder.feed(std::string(100, ':'));
  EXPECT_TRUE(decoder.failed());
}

}  // namespace
}  // namespace caravan::engine
