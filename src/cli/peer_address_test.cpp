#include "cli/peer_address.h"

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

TEST(PeerAddress, TakesWhatPeopleWrite) {
  EXPECT_EQ(peer_address("192.168.1.20").value(), (link::LinkAddress{"192.168.1.20", 7433}));
  EXPECT_EQ(peer_address("tablet.lan:9000").value(), (link::LinkAddress{"tablet.lan", 9000}));
  EXPECT_EQ(peer_address("[fe80::1%wlan0]:7434").value(), (link::LinkAddress{"fe80::1%wlan0", 7434}));
  EXPECT_EQ(peer_address("[::1]").value(), (link::LinkAddress{"::1", 7433}));
  EXPECT_EQ(peer_address("fe80::1").value(), (link::LinkAddress{"fe80::1", 7433}));
}

TEST(PeerAddress, SaysWhatIsWrong) {
  for (const char* wrong : {"", ":7433", "host:", "host:0", "host:65536", "host:12a", "host:-1", "[::1",
                            "[::1]7433", "[::1]:", "host:999999"}) {
    const auto address = peer_address(wrong);
    ASSERT_FALSE(address) << wrong;
    EXPECT_EQ(address.error().code, Code::invalid);
    EXPECT_FALSE(address.error().hint.empty());
  }
}

TEST(PeerAddress, OneWrongOneOfSeveralIsAnError) {
  EXPECT_EQ(peer_addresses({"a", "b:1"}).value().size(), 2U);
  EXPECT_FALSE(peer_addresses({"a", "b:x"}));
}

}  // namespace
}  // namespace caravan::cli
