#include "link/interfaces.h"

#include <algorithm>

#include <gmock/gmock.h>

namespace caravan::link {
namespace {

TEST(Interfaces, TheLoopbackAddressIsAmongThem) {
  const auto all = interface_addresses();
  ASSERT_TRUE(all.ok()) << all.error().message;
  const auto loopback = std::find_if(all->begin(), all->end(), [](const InterfaceAddress& each) {
    return each.address == asio::ip::make_address("127.0.0.1");
  });
  ASSERT_NE(loopback, all->end());
  EXPECT_TRUE(loopback->is_loopback);
  EXPECT_FALSE(loopback->is_shared);
  EXPECT_NE(loopback->index, 0U);
  EXPECT_EQ(loopback->prefix, 8);
  EXPECT_FALSE(loopback->interface.empty());
}

TEST(Interfaces, ComeInTheSameOrderEachTime) {
  EXPECT_EQ(interface_addresses().value(), interface_addresses().value());
}

TEST(Interfaces, TheDefaultRoutesAddressIsOneOfThem) {
  const auto all = interface_addresses().value();
  for (const InterfaceAddress& each : default_route_addresses()) {  // none on a machine without a network
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const InterfaceAddress& known) {
      return known.address == each.address;
    })) << each.address;
    EXPECT_EQ(each.index, 0U);
    EXPECT_TRUE(each.is_shared);
  }
}

}  // namespace
}  // namespace caravan::link
