#include "device/wifi.h"

#include <cmath>

#include "base/text.h"
#include "device/android.h"
#include "device/termux.h"

namespace caravan::device {
namespace {

std::optional<int> frequency_from(std::optional<double> mhz) {
  if (!mhz || *mhz < 1000 || *mhz > 100000) return std::nullopt;
  return static_cast<int>(std::lround(*mhz));
}

std::optional<double> rate_from(std::optional<double> mbit) {
  if (!mbit || *mbit <= 0 || *mbit > 100000) return std::nullopt;
  return mbit;
}

/// -127 is Android's "invalid", 0 and above no radio's signal.
std::optional<int> signal_from(std::optional<double> dbm) {
  if (!dbm || *dbm <= -127 || *dbm >= 0) return std::nullopt;
  return static_cast<int>(std::lround(*dbm));
}

/// The number at the beginning of "433.3 MBit/s VHT-MCS 9".
std::optional<double> first_number(const std::optional<std::string>& text) {
  return text ? parse_decimal(std::string_view(*text).substr(0, text->find(' '))) : std::nullopt;
}

std::optional<WifiFacts> ask_termux(const SystemView& view, HiddenFacts& hidden) {
  const auto text = run_program(view, {"termux-wifi-connectioninfo"});
  const auto told = text ? parse_termux_wifi(*text) : Result<WifiFacts>(text.error());
  if (told) return *told;
  hidden.push_back(hidden_behind_termux("wifi", told.error(), is_termux(view.root)));
  return std::nullopt;
}

std::optional<WifiFacts> ask_linux(const SystemView& view, HiddenFacts& hidden) {
  const auto interface = wifi_interface(view.root);
  if (!interface) {
    hidden.push_back({"wifi", why(interface.error()), ""});
    return std::nullopt;
  }
  if (interface->empty()) return std::nullopt;
  const auto text = run_program(view, {"iw", "dev", *interface, "link"});
  const auto told = text ? parse_iw_link(*text) : Result<WifiFacts>(text.error());
  if (told) return *told;
  const bool missing = told.error().code == Code::not_found;
  hidden.push_back({"wifi.rate", missing ? "the program iw is not installed" : told.error().message,
                    missing ? "install the package iw" : ""});
  const auto wireless = read_text(view.root / "proc/net/wireless");
  const auto signal = wireless ? parse_proc_wireless(*wireless, *interface) : std::nullopt;
  const auto state = read_line(view.root / "sys/class/net" / *interface / "operstate");
  return WifiFacts{.connected = signal.has_value() || state == "up", .signal_dbm = signal};
}

}  // namespace

std::string band_of(int frequency_mhz) {
  if (frequency_mhz >= 2400 && frequency_mhz < 2500) return "2.4 GHz";
  if (frequency_mhz >= 4900 && frequency_mhz < 5925) return "5 GHz";
  if (frequency_mhz >= 5925 && frequency_mhz < 7200) return "6 GHz";
  if (frequency_mhz >= 57000 && frequency_mhz < 71000) return "60 GHz";
  return "";
}

Result<WifiFacts> parse_termux_wifi(std::string_view text) {
  const auto object = parse_termux_object(text);
  if (!object) {
    // Its way to say that no network is connected.
    if (object.error().message == "No current connection") return WifiFacts{};
    return object.error();
  }
  const std::string state = text_in(*object, "supplicant_state");
  if (state.empty()) return Error{Code::invalid, "it says nothing about a connection", ""};
  WifiFacts facts{.connected = state == "COMPLETED"};
  if (!facts.connected) return facts;
  facts.frequency_mhz = frequency_from(number_in(*object, "frequency_mhz"));
  facts.rate_mbit = rate_from(number_in(*object, "link_speed_mbps"));
  facts.signal_dbm = signal_from(number_in(*object, "rssi"));
  return facts;
}

Result<WifiFacts> parse_iw_link(std::string_view text) {
  if (text.find("Not connected") != std::string_view::npos) return WifiFacts{};
  if (text.rfind("Connected to ", 0) != 0)
    return Error{Code::invalid, "iw says nothing about a connection", ""};
  return WifiFacts{.connected = true,
                   .frequency_mhz = frequency_from(first_number(value_after(text, "\tfreq: "))),
                   .rate_mbit = rate_from(first_number(value_after(text, "\ttx bitrate: "))),
                   .signal_dbm = signal_from(first_number(value_after(text, "\tsignal: ")))};
}

std::optional<int> parse_proc_wireless(std::string_view text, std::string_view interface) {
  constexpr std::size_t kLevel = 2;  // after the status and the link quality
  for (const std::string& line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || trim(std::string_view(line).substr(0, colon)) != interface) continue;
    std::vector<std::string> fields;
    for (const std::string& field : split(std::string_view(line).substr(colon + 1), ' ')) {
      if (!field.empty()) fields.push_back(field);
    }
    if (fields.size() <= kLevel) return std::nullopt;
    std::string_view level = fields[kLevel];
    if (level.back() == '.') level.remove_suffix(1);  // "updated since the last read"
    return signal_from(parse_decimal(level));
  }
  return std::nullopt;
}

Result<std::string> wifi_interface(const fs::path& root) {
  const fs::path folder = root / "sys/class/net";
  const auto names = names_in(folder, "");
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (is_there(folder / name / "phy80211") || is_there(folder / name / "wireless")) return name;
  }
  return std::string();
}

std::optional<WifiFacts> read_wifi(const SystemView& view, bool android, HiddenFacts& hidden) {
  return android ? ask_termux(view, hidden) : ask_linux(view, hidden);
}

}  // namespace caravan::device
