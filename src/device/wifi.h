// The Wi-Fi connection: band, rate, signal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "device/source.h"
#include "device/system_view.h"

namespace caravan::device {

/// Network names and hardware addresses are left alone on purpose: nobody here needs them.
struct WifiFacts {
  bool connected = false;
  std::optional<int> frequency_mhz;
  std::optional<double> rate_mbit;  ///< what the radio sends with, Mbit/s: an upper limit for what arrives
  std::optional<int> signal_dbm;    ///< -30 is beside the access point, -80 is hardly usable
};

/// "2.4 GHz", "5 GHz", "6 GHz" or "60 GHz" (IEEE 802.11's channels); "" for others.
std::string band_of(int frequency_mhz);

/// What `termux-wifi-connectioninfo` prints: JSON with supplicant_state, frequency_mhz, link_speed_mbps,
/// rssi; -1 (rssi -127) where there is nothing to tell. Code::invalid when it is something else.
Result<WifiFacts> parse_termux_wifi(std::string_view text);
/// What `iw dev NAME link` prints: "Not connected." or "Connected to ..." with lines freq, signal and tx
/// bitrate.
Result<WifiFacts> parse_iw_link(std::string_view text);
/// The signal in dBm of an interface in /proc/net/wireless.
std::optional<int> parse_proc_wireless(std::string_view text, std::string_view interface);

/// The first network interface with a radio, or ""; an error where the system hides them, as Android does.
Result<std::string> wifi_interface(const fs::path& root);

/// Nothing when there is no Wi-Fi, or when it is hidden, which is then said in `hidden`. Runs one program.
std::optional<WifiFacts> read_wifi(const SystemView& view, bool android, HiddenFacts& hidden);

}  // namespace caravan::device
