#include "doctor/network_checks.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "device/android.h"
#include "device/source.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{15};
constexpr std::size_t kMaxRoutes = 256;

struct Prefix {
  std::string_view text;
  InterfaceKind kind;
};
constexpr std::array<Prefix, 32> kPrefixes{{
    {"rmnet", InterfaceKind::mobile},    {"ccmni", InterfaceKind::mobile},
    {"pdp", InterfaceKind::mobile},      {"wwan", InterfaceKind::mobile},
    {"v4-rmnet", InterfaceKind::mobile}, {"v4-ccmni", InterfaceKind::mobile},
    {"clat", InterfaceKind::mobile},     {"usb_rmnet", InterfaceKind::mobile},
    {"tun", InterfaceKind::vpn},         {"tap", InterfaceKind::vpn},
    {"wg", InterfaceKind::vpn},          {"ppp", InterfaceKind::vpn},
    {"tailscale", InterfaceKind::vpn},   {"zt", InterfaceKind::vpn},
    {"ipsec", InterfaceKind::vpn},       {"nordlynx", InterfaceKind::vpn},
    {"proton", InterfaceKind::vpn},      {"utun", InterfaceKind::vpn},
    {"ap", InterfaceKind::hotspot},      {"swlan", InterfaceKind::hotspot},
    {"softap", InterfaceKind::hotspot},  {"wifi_br", InterfaceKind::hotspot},
    {"rndis", InterfaceKind::hotspot},   {"docker", InterfaceKind::inner},
    {"veth", InterfaceKind::inner},      {"br-", InterfaceKind::inner},
    {"virbr", InterfaceKind::inner},     {"lxc", InterfaceKind::inner},
    {"cni", InterfaceKind::inner},       {"flannel", InterfaceKind::inner},
    {"podman", InterfaceKind::inner},    {"dummy", InterfaceKind::inner},
}};

/// What Android's own hotspot has: com.android.tethering's fixed address until Android 10, a random one
/// after.
constexpr std::string_view kAndroidHotspot = "192.168.43.1";
constexpr int kWeak = -72;  // dBm
constexpr int kHardlyThere = -80;
constexpr double kSlowRate = 50;  // Mbit/s, of which half arrives

/// One line each: "wlan0 192.168.1.5".
std::vector<std::string> addresses_of(const NetworkState& state, InterfaceKind kind) {
  std::vector<std::string> found;
  for (const device::Address& one : *state.addresses) {
    if (kind_of(one.interface) == kind) found.push_back(fmt::format("{} ({})", one.address, one.interface));
  }
  return found;
}

std::vector<std::string> unique(std::vector<std::string> list) {
  std::set<std::string> seen;
  list.erase(std::remove_if(list.begin(), list.end(),
                            [&](const std::string& one) { return !seen.insert(one).second; }),
             list.end());
  return list;
}

/// Why nothing can be said about the Wi-Fi; nothing when there is a connection to talk about.
std::optional<Finding> no_wifi(const NetworkState& state) {
  if (state.wifi && state.wifi->connected) return std::nullopt;
  if (state.wifi) return skipped("not connected to a Wi-Fi");
  for (const device::HiddenFact& one : state.hidden) {
    if (one.fact.rfind("wifi", 0) == 0) return skipped("hidden: " + one.why);
  }
  return skipped("no Wi-Fi here");
}

}  // namespace

InterfaceKind kind_of(std::string_view interface) {
  for (const Prefix& prefix : kPrefixes) {
    if (interface.rfind(prefix.text, 0) == 0) return prefix.kind;
  }
  return InterfaceKind::lan;
}

std::vector<std::string> parse_default_routes(std::string_view text) {
  constexpr std::size_t kInterface = 0;
  constexpr std::size_t kDestination = 1;
  constexpr std::size_t kMask = 7;
  std::vector<std::string> interfaces;
  for (const std::string& line : split(text, '\n')) {
    const auto fields = split(trim(line), '\t');
    if (fields.size() <= kMask || interfaces.size() == kMaxRoutes) continue;
    const bool is_default = trim(fields[kDestination]) == "00000000" && trim(fields[kMask]) == "00000000";
    if (is_default) interfaces.emplace_back(trim(fields[kInterface]));
  }
  return unique(std::move(interfaces));
}

std::optional<bool> parse_power_save(std::string_view text) {
  const auto value = device::value_after(text, "Power save:");
  if (!value || (*value != "on" && *value != "off")) return std::nullopt;
  return *value == "on";
}

Finding network_address(const NetworkState& state) {
  if (!state.addresses) return skipped(state.addresses.error().message);
  auto lan = addresses_of(state, InterfaceKind::lan);
  const auto hotspot = addresses_of(state, InterfaceKind::hotspot);
  lan.insert(lan.end(), hotspot.begin(), hotspot.end());
  if (!lan.empty()) return ok(join(lan, ", "));
  const auto mobile = addresses_of(state, InterfaceKind::mobile);
  const std::string found =
      mobile.empty() ? "this device is on no network" : "only the mobile network: " + join(mobile, ", ");
  return {Status::problem,
          found,
          "the other devices cannot reach it, nor it them",
          {"join the Wi-Fi that the other devices are on"}};
}

Finding network_vpn(const NetworkState& state) {
  if (!state.addresses) return skipped(state.addresses.error().message);
  const auto vpn = addresses_of(state, InterfaceKind::vpn);
  if (vpn.empty()) return ok("none");
  return {state.android ? Status::warning : Status::note,
          "a VPN is on: " + join(vpn, ", "),
          "it may send what is meant for the devices at home elsewhere, and adds a detour to each token",
          {"switch it off while devices cannot find each other, or let it leave out the local network "
           "(\"allow LAN "
           "access\")"}};
}

Finding several_networks(const NetworkState& state) {
  std::vector<std::string> ways;
  for (const std::string& one : state.default_routes) {
    if (kind_of(one) == InterfaceKind::lan) ways.push_back(one);
  }
  if (ways.size() < 2 && state.default_routes.empty() && state.addresses) {  // Android hides the routes
    for (const device::Address& one : *state.addresses) {
      if (kind_of(one.interface) == InterfaceKind::lan) ways.push_back(one.interface);
    }
  }
  ways = unique(std::move(ways));
  if (ways.size() < 2) return ok(ways.empty() ? "none" : "only " + ways.front());
  return {
      Status::note,
      "on several networks at once: " + join(ways, ", "),
      "traffic may take the slower one; if they are different networks, not every device reaches every other",
      {"leave one of them if it is slow or devices cannot find each other"}};
}

Finding hotspot_host(const NetworkState& state) {
  if (!state.addresses) return skipped(state.addresses.error().message);
  std::vector<std::string> own = addresses_of(state, InterfaceKind::hotspot);
  for (const device::Address& one : *state.addresses) {
    if (own.empty() && one.address == kAndroidHotspot) own.push_back(one.address);
  }
  if (own.empty()) return ok("this device is no hotspot");
  return {Status::note,
          "this device is the hotspot of others: " + join(own, ", "),
          "some phones let nobody connect to them, or the devices in their hotspot to each other, and its "
          "radio has "
          "to send everything twice",
          {"use a Wi-Fi router if you can; else let this device be the one that the others join"}};
}

Finding wifi_band(const NetworkState& state) {
  if (const auto none = no_wifi(state)) return *none;
  const std::string band = device::band_of(state.wifi->frequency_mhz.value_or(0));
  if (band.empty()) return skipped("the system does not tell");
  if (band != "2.4 GHz") return ok(band);
  return {
      Status::warning,
      "the Wi-Fi is on 2.4 GHz",
      "that band is slow and shared with the neighbours and Bluetooth: round trips of 10 ms and more for "
      "each "
      "token and device",
      {"join the 5 GHz network of the same router (often called NAME-5G), or switch 5 GHz on in the router"}};
}

Finding wifi_signal(const NetworkState& state) {
  if (const auto none = no_wifi(state)) return *none;
  const auto signal = state.wifi->signal_dbm;
  if (!signal) return skipped("the system does not tell");
  const std::string text = fmt::format("{} dBm", *signal);
  if (*signal > kWeak) return ok(text);
  return {*signal <= kHardlyThere ? Status::problem : Status::warning,
          text + ", which is weak",
          "packets are lost and sent again: tokens stutter, and the device may drop out",
          {"bring it nearer to the access point; no metal or thick wall between them"}};
}

Finding wifi_rate(const NetworkState& state) {
  if (const auto none = no_wifi(state)) return *none;
  const auto rate = state.wifi->rate_mbit;
  if (!rate) return skipped("the system does not tell");
  const std::string text = fmt::format("{:.0f} Mbit/s", *rate);
  if (*rate >= kSlowRate) return ok(text);
  return {Status::warning,
          "the radio sends with only " + text,
          "about half of that arrives: prompts and loading take long when this device works with others",
          {"bring it nearer to the access point, or use 5 GHz or a cable"}};
}

Finding wifi_power_save(const NetworkState& state) {
  if (const auto none = no_wifi(state)) return *none;
  if (!state.power_save) return skipped("the system does not tell");
  if (!*state.power_save) return ok("off");
  return {Status::warning,
          "the Wi-Fi of " + state.wifi_interface + " sleeps between packets",
          "each token waits for it to wake up: up to 100 ms a device",
          {fmt::format("sudo iw dev {} set power_save off", state.wifi_interface)}};
}

NetworkState read_network_state(const device::SystemView& system) {
  NetworkState state{.android = device::is_android(system.root),
                     .addresses = system.addresses
                                      ? system.addresses()
                                      : Error{Code::unavailable, "the addresses are not known", ""}};
  if (const auto routes = device::read_text(system.root / "proc/net/route"))
    state.default_routes = parse_default_routes(*routes);
  state.wifi = device::read_wifi(system, state.android, state.hidden);
  if (state.android || !state.wifi) return state;
  const auto interface = device::wifi_interface(system.root);
  if (!interface || interface->empty()) return state;
  state.wifi_interface = *interface;
  const auto text = device::run_program(system, {"iw", "dev", *interface, "get", "power_save"});
  if (text) state.power_save = parse_power_save(*text);
  return state;
}

Step network_step(device::SystemView system) {
  return make_step<NetworkState>(
      {{{"network", "an address that other devices reach"}, network_address},
       {{"vpn", "a VPN that takes the traffic elsewhere"}, network_vpn},
       {{"several-networks", "more than one way out"}, several_networks},
       {{"hotspot", "this device as the access point of others"}, hotspot_host},
       {{"wifi-band", "2.4 or 5 GHz"}, wifi_band},
       {{"wifi-signal", "its strength"}, wifi_signal},
       {{"wifi-rate", "what the radio sends with"}, wifi_rate},
       {{"wifi-power-save", "a radio that sleeps between packets"}, wifi_power_save}},
      kLimit, [system = std::move(system)] { return read_network_state(system); });
}

}  // namespace caravan::doctor
