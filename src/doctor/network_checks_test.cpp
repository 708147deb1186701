#include "doctor/network_checks.h"

#include <gmock/gmock.h>

#include "device/fixture.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

NetworkState healthy() {
  NetworkState state{.addresses = std::vector<device::Address>{{"wlan0", "192.168.1.5", false}}};
  state.default_routes = {"wlan0"};
  state.wifi = device::WifiFacts{true, 5180, 433.0, -52};
  state.wifi_interface = "wlan0";
  state.power_save = false;
  return state;
}

void address(NetworkState& state, const std::string& interface, const std::string& text) {
  state.addresses->push_back({interface, text, false});
}

TEST(NetworkChecks, AHealthyDevice) {
  for (const auto check : {network_address, network_vpn, several_networks, hotspot_host, wifi_band,
                           wifi_signal, wifi_rate, wifi_power_save}) {
    EXPECT_EQ(check(healthy()).status, Status::ok) << check(healthy()).found;
  }
}

TEST(NetworkChecks, NoNetworkOrOnlyAMobileOne) {
  NetworkState state = healthy();
  state.addresses->clear();
  EXPECT_EQ(network_address(state).status, Status::problem);
  EXPECT_THAT(network_address(state).found, HasSubstr("on no network"));
  address(state, "rmnet_data2", "10.33.1.2");
  EXPECT_EQ(network_address(state).status, Status::problem);
  EXPECT_THAT(network_address(state).found, HasSubstr("only the mobile network"));
  address(state, "docker0", "172.17.0.1");
  EXPECT_EQ(network_address(state).status, Status::problem);
  state.addresses = Error{Code::unavailable, "cannot list the addresses", ""};
  EXPECT_EQ(network_address(state).status, Status::skipped);
}

TEST(NetworkChecks, AVpn) {
  NetworkState state = healthy();
  address(state, "tun0", "10.8.0.2");
  EXPECT_EQ(network_vpn(state).status, Status::note);
  state.android = true;
  EXPECT_EQ(network_vpn(state).status, Status::warning);
  EXPECT_THAT(network_vpn(state).found, HasSubstr("10.8.0.2 (tun0)"));
}

TEST(NetworkChecks, SeveralNetworks) {
  NetworkState state = healthy();
  state.default_routes = {"eth0", "wlan0", "docker0"};
  EXPECT_EQ(several_networks(state).status, Status::note);
  EXPECT_THAT(several_networks(state).found, HasSubstr("eth0, wlan0"));
  state.default_routes = {"wlan0", "tun0"};
  EXPECT_EQ(several_networks(state).status, Status::ok);
  state.default_routes.clear();  // hidden, as on Android
  address(state, "eth0", "192.168.7.5");
  EXPECT_EQ(several_networks(state).status, Status::note);
}

TEST(NetworkChecks, AHotspot) {
  NetworkState state = healthy();
  address(state, "ap0", "10.21.4.1");
  EXPECT_EQ(hotspot_host(state).status, Status::note);
  EXPECT_EQ(network_address(state).status, Status::ok);
  state = healthy();
  address(state, "wlan1", "192.168.43.1");
  EXPECT_EQ(hotspot_host(state).status, Status::note);
}

TEST(NetworkChecks, BadWifi) {
  NetworkState state = healthy();
  state.wifi = device::WifiFacts{true, 2437, 26.0, -77};
  state.power_save = true;
  EXPECT_EQ(wifi_band(state).status, Status::warning);
  EXPECT_EQ(wifi_signal(state).status, Status::warning);
  EXPECT_EQ(wifi_rate(state).status, Status::warning);
  EXPECT_THAT(wifi_rate(state).found, HasSubstr("26 Mbit/s"));
  EXPECT_EQ(wifi_power_save(state).status, Status::warning);
  EXPECT_THAT(wifi_power_save(state).cure, Contains("sudo iw dev wlan0 set power_save off"));
  state.wifi->signal_dbm = -85;
  EXPECT_EQ(wifi_signal(state).status, Status::problem);
}

TEST(NetworkChecks, NoWifi) {
  NetworkState state = healthy();
  const auto all_skipped = [&](std::string_view reason) {
    for (const auto check : {wifi_band, wifi_signal, wifi_rate, wifi_power_save}) {
      EXPECT_EQ(check(state).status, Status::skipped);
      EXPECT_THAT(check(state).found, HasSubstr(std::string(reason)));
    }
  };
  state.wifi.reset();
  all_skipped("no Wi-Fi here");
  state.hidden = {{"wifi", "Termux:API is not installed", "pkg install termux-api"}};
  all_skipped("Termux:API is not installed");
  state.wifi = device::WifiFacts{};
  all_skipped("not connected");
}

TEST(NetworkChecks, OfRealisticDevices) {
  const NetworkState phone = read_network_state(device::fixture("tensor-g3"));
  EXPECT_TRUE(phone.android);
  EXPECT_EQ(network_address(phone).status, Status::ok);
  EXPECT_NE(wifi_band(phone).status, Status::skipped);
  const NetworkState board = read_network_state(device::fixture("raspberry-pi-5"));
  EXPECT_EQ(board.wifi_interface, "wlan0");
  EXPECT_NE(wifi_rate(board).status, Status::skipped);
}

TEST(NetworkChecks, InterfaceNames) {
  EXPECT_EQ(kind_of("wlan0"), InterfaceKind::lan);
  EXPECT_EQ(kind_of("eth0"), InterfaceKind::lan);
  EXPECT_EQ(kind_of("enp3s0"), InterfaceKind::lan);
  EXPECT_EQ(kind_of("v4-rmnet_data0"), InterfaceKind::mobile);
  EXPECT_EQ(kind_of("ccmni1"), InterfaceKind::mobile);
  EXPECT_EQ(kind_of("wg-home"), InterfaceKind::vpn);
  EXPECT_EQ(kind_of("swlan0"), InterfaceKind::hotspot);
  EXPECT_EQ(kind_of("br-1f2e"), InterfaceKind::inner);
}

TEST(NetworkChecks, DefaultRoutes) {
  constexpr const char* kRoutes =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
      "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
      "eth0\t00000000\t0101A8C0\t0003\t0\t0\t700\t00000000\t0\t0\t0\n"
      "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
  EXPECT_THAT(parse_default_routes(kRoutes), ElementsAre("eth0", "wlan0"));
  for (const char* none : {"", "\n", "eth0\t00000000", "eth0 00000000 1 2 3 4 5 00000000"})
    EXPECT_THAT(parse_default_routes(none), IsEmpty()) << none;
}

TEST(NetworkChecks, WhatIwPrints) {
  EXPECT_EQ(parse_power_save("Power save: on\n"), true);
  EXPECT_EQ(parse_power_save("Power save: off\n"), false);
  for (const char* none : {"", "Power save:", "command failed: No such device (-19)"})
    EXPECT_FALSE(parse_power_save(none)) << none;
}

}  // namespace
}  // namespace caravan::doctor
