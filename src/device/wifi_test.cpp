#include "device/wifi.h"

#include <gtest/gtest.h>

#include "device/android.h"

namespace caravan::device {
namespace {

TEST(Wifi, Bands) {
  EXPECT_EQ(band_of(2412), "2.4 GHz");
  EXPECT_EQ(band_of(2484), "2.4 GHz");
  EXPECT_EQ(band_of(5180), "5 GHz");
  EXPECT_EQ(band_of(5885), "5 GHz");
  EXPECT_EQ(band_of(5955), "6 GHz");
  EXPECT_EQ(band_of(7115), "6 GHz");
  EXPECT_EQ(band_of(60480), "60 GHz");
  for (const int other : {-1, 0, 900, 3650, 2147483647}) EXPECT_EQ(band_of(other), "") << other;
}

TEST(Wifi, TermuxWithoutAConnection) {
  const auto off = parse_termux_wifi(
      R"({"bssid":null,"frequency_mhz":-1,"link_speed_mbps":-1,"rssi":-127,"supplicant_state":"DISCONNECTED"})");
  ASSERT_TRUE(off.ok());
  EXPECT_FALSE(off->connected);
  EXPECT_FALSE(off->rate_mbit);
  const auto none = parse_termux_wifi(R"({"API_ERROR":"No current connection"})");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->connected);
}

TEST(Wifi, TermuxPartly) {
  const auto wifi = parse_termux_wifi(
      R"({"frequency_mhz":"5180","link_speed_mbps":-1,"rssi":-127,"supplicant_state":"COMPLETED"})");
  ASSERT_TRUE(wifi.ok());
  EXPECT_TRUE(wifi->connected);
  EXPECT_EQ(wifi->frequency_mhz, 5180);
  EXPECT_FALSE(wifi->rate_mbit);
  EXPECT_FALSE(wifi->signal_dbm);
}

TEST(Wifi, GarbageIsAnError) {
  for (const char* text : {"", "{}", "[1]", R"({"supplicant_state":7})", R"({"API_ERROR":"x"})"}) {
    EXPECT_FALSE(parse_termux_wifi(text).ok()) << text;
  }
  for (const char* text : {"", "command failed: No such device (-19)", "connected to"}) {
    EXPECT_FALSE(parse_iw_link(text).ok()) << text;
  }
}

TEST(Wifi, Iw) {
  const auto on = parse_iw_link(
      "Connected to 02:00:5e:10:20:30 (on wlan0)\n\tfreq: 5180.0\n\tsignal: -47 dBm\n"
      "\trx bitrate: 6.0 MBit/s\n\ttx bitrate: 433.3 MBit/s VHT-MCS 9 80MHz VHT-NSS 1\n");
  ASSERT_TRUE(on.ok());
  EXPECT_TRUE(on->connected);
  EXPECT_EQ(on->frequency_mhz, 5180);
  EXPECT_DOUBLE_EQ(*on->rate_mbit, 433.3);
  EXPECT_EQ(on->signal_dbm, -47);
  const auto bare = parse_iw_link("Connected to 02:00:5e:10:20:30 (on wlan0)\n\tfreq: \n\tsignal: loud\n");
  ASSERT_TRUE(bare.ok());
  EXPECT_TRUE(bare->connected);
  EXPECT_FALSE(bare->frequency_mhz);
  EXPECT_FALSE(bare->signal_dbm);
  EXPECT_FALSE(parse_iw_link("Not connected.\n")->connected);
}

TEST(Wifi, ProcNetWireless) {
  constexpr const char* kText =
      "Inter-| sta-|   Quality        |\n face | tus | link level noise |\n wlan0: 0000   70.  -40.  -256   "
      "0\n"
      "wlan1: 0000   10.  -88   0\nwlan2: 0000\nwlan3: 0 0 40\n";
  EXPECT_EQ(parse_proc_wireless(kText, "wlan0"), -40);
  EXPECT_EQ(parse_proc_wireless(kText, "wlan1"), -88);
  for (const char* name : {"wlan2", "wlan3", "wlan", ""})
    EXPECT_FALSE(parse_proc_wireless(kText, name)) << name;
  EXPECT_FALSE(parse_proc_wireless("", "wlan0"));
}

TEST(Android, Properties) {
  const auto properties = parse_getprop(
      "[ro.product.model]: [Pixel [8]]\n[multi]: [first\nsecond]\n[]: []\n[x]: [y\n[z]: []\nnoise\n[a]: "
      "[b]\r\n]: [\n");
  EXPECT_EQ(properties.at("ro.product.model"), "Pixel [8]");
  EXPECT_EQ(properties.at("z"), "");
  EXPECT_EQ(properties.at("a"), "b");
  EXPECT_EQ(properties.count("multi"), 0U);
  EXPECT_EQ(properties.count("x"), 0U);
}

TEST(Android, MakerAndModelOnce) {
  const auto facts = android_facts_from({{"ro.product.manufacturer", "OnePlus"},
                                         {"ro.product.model", "OnePlus 9"},
                                         {"ro.soc.manufacturer", "unknown"},
                                         {"ro.soc.model", "SM8350"},
                                         {"ro.build.version.sdk", "-3"}});
  EXPECT_EQ(facts.model, "OnePlus 9");
  EXPECT_EQ(facts.processor, "SM8350");
  EXPECT_FALSE(facts.api_level);
  EXPECT_FALSE(facts.version);
  EXPECT_FALSE(android_facts_from({}).model);
}

}  // namespace
}  // namespace caravan::device
