#include "gateway/event_relay.h"

#include <gtest/gtest.h>

namespace caravan::gateway {
namespace {

TEST(EventRelay, PassesWholeEventsOnUnchanged) {
  const std::string stream = ":\r\n\r\nevent: x\ndata: one\n\ndata: two\r\n\r\ndata: [DONE]\n\n";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    EventRelay relay;
    const std::string first = relay.feed(stream.substr(0, cut));
    EXPECT_TRUE(first.empty() || first.ends_with("\n\n") || first.ends_with("\r\n\r") ||
                first.ends_with("\r\n\r\n"))
        << first;
    EXPECT_EQ(first + relay.feed(stream.substr(cut)), stream);
    EXPECT_TRUE(relay.complete());
  }
}

TEST(EventRelay, HoldsAHalfEventBack) {
  EventRelay relay;
  EXPECT_EQ(relay.feed("data: one\n\ndata: tw"), "data: one\n\n");
  EXPECT_EQ(relay.feed("o\n"), "");
  EXPECT_FALSE(relay.complete());
}

TEST(EventRelay, KnowsAProperEnd) {
  for (const char* end : {"data: [DONE]\n\n", "data: {\"error\":{\"message\":\"x\"}}\n\n"}) {
    EventRelay relay;
    relay.feed("data: {}\n\n");
    EXPECT_FALSE(relay.complete());
    relay.feed(end);
    EXPECT_TRUE(relay.complete());
  }
}

TEST(EventRelay, FailsOnAnEventWithoutEnd) {
  EventRelay relay;
  EXPECT_EQ(relay.feed("data: one\n\n" + std::string(2'000'000, 'x')), "");
  EXPECT_TRUE(relay.failed());
}

}  // namespace
}  // namespace caravan::gateway
