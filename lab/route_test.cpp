#include "lab/route.h"

#include <array>
#include <cstdint>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caravan::lab {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::byte> packet_to(std::array<std::uint8_t, 4> address) {
  std::vector<std::byte> packet(28, std::byte{0});
  packet[0] = std::byte{0x45};
  for (std::size_t i = 0; i < 4; ++i) packet[16 + i] = std::byte{address[i]};
  return packet;
}

TEST(RouteTest, OneStation) {
  EXPECT_EQ(address_of(0), "10.77.0.1");
  EXPECT_THAT(route(packet_to({10, 77, 0, 1}), 2, 3), ElementsAre(0U));
  EXPECT_THAT(route(packet_to({10, 77, 0, 3}), 0, 3), ElementsAre(2U));
}

TEST(RouteTest, BroadcastAndMulticastGoToAllOthers) {
  for (const auto& address : {std::array<std::uint8_t, 4>{10, 77, 0, 255},
                              {255, 255, 255, 255},
                              {224, 0, 0, 251},
                              {239, 1, 2, 3}}) {
    EXPECT_THAT(route(packet_to(address), 1, 3), ElementsAre(0U, 2U));
  }
}

TEST(RouteTest, NobodyIsThere) {
  for (const auto& address : {std::array<std::uint8_t, 4>{10, 77, 0, 0},
                              {10, 77, 0, 4},
                              {10, 77, 1, 1},
                              {8, 8, 8, 8},
                              {10, 77, 0, 1}}) {
    EXPECT_THAT(route(packet_to(address), 0, 3), IsEmpty());
  }
}

TEST(RouteTest, NoIpv4OrCutShort) {
  std::vector<std::byte> packet = packet_to({10, 77, 0, 2});
  EXPECT_THAT(route(std::span(packet).first(19), 0, 3), IsEmpty());
  EXPECT_THAT(route({}, 0, 3), IsEmpty());
  packet[0] = std::byte{0x60};
  EXPECT_THAT(route(packet, 0, 3), IsEmpty());
}

TEST(RouteTest, NeverNamesAStationThatIsNotThereOrTheSender) {
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> packet(random() % 40);
    for (std::byte& byte : packet) byte = std::byte{static_cast<std::uint8_t>(random())};
    const std::size_t stations = 1 + random() % 5;
    const std::size_t from = random() % stations;
    for (const std::size_t to : route(packet, from, stations)) {
      EXPECT_LT(to, stations);
      EXPECT_NE(to, from);
    }
  }
}

}  // namespace
}  // namespace caravan::lab
