#include "cli/device_table.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/files.h"
#include "base/text.h"

namespace caravan::cli {
namespace {

using device::DeviceFacts;
using Parts = std::vector<std::string>;

/// What stands for a fact that is not there: hidden by the system, or not on this device.
std::string absent(const DeviceFacts& facts, std::string_view fact, std::string_view none) {
  return device::is_hidden(facts.hidden, fact) ? "hidden" : std::string(none);
}

std::string degrees(double celsius) { return fmt::format("{:.1f} °C", celsius); }

std::string model_text(const DeviceFacts& facts) {
  std::string text = facts.model.value_or("hidden");
  if (!facts.android) return text;
  text += fmt::format(", Android {}", facts.android->version.value_or("(version hidden)"));
  return text + (facts.termux ? ", in Termux" : ", not in Termux");
}

std::string memory_text(const device::MemoryFacts& memory) {
  if (!memory.policy.usable) return "hidden";
  std::string text = format_bytes(*memory.policy.usable) + " for a model";
  if (memory.total) text += fmt::format(", of {} in all", format_bytes(*memory.total));
  return text;
}

/// "1 Cortex-X3 at 3200 MHz"
std::string cluster_text(const device::CoreCluster& cluster) {
  std::string text = fmt::format("{} {}", cluster.cores, cluster.design.empty() ? "cores" : cluster.design);
  if (cluster.max_mhz) text += fmt::format(" at {:.2f} GHz", *cluster.max_mhz / 1000.0);
  return text + (cluster.little ? " (little)" : "");
}

std::string cores_text(const DeviceFacts& facts) {
  Parts parts;
  for (const auto& cluster : facts.cores.clusters) parts.push_back(cluster_text(cluster));
  return parts.empty() ? "hidden" : join(parts, " + ");
}

std::string features_text(const DeviceFacts& facts) {
  if (!facts.processor.features.empty()) return join(facts.processor.features, " ");
  return absent(facts, "processor.features", "none that speed up a model");
}

std::string processor_text(const DeviceFacts& facts) {
  const std::string name = facts.processor.name.value_or("name hidden");
  return facts.processor.architecture.empty() ? name
                                              : fmt::format("{} ({})", name, facts.processor.architecture);
}

std::string storage_text(const DeviceFacts& facts) {
  if (!facts.storage) return absent(facts, "storage", "unknown");
  return fmt::format("{} free in {}", format_bytes(facts.storage->free), for_people(facts.storage->folder));
}

std::string battery_text(const DeviceFacts& facts) {
  if (!facts.battery) return absent(facts, "battery", "none");
  Parts parts;
  if (facts.battery->level) parts.push_back(fmt::format("{} %", *facts.battery->level));
  const bool plugged = facts.battery->plugged.value_or(false);
  if (facts.battery->charging) {
    parts.emplace_back(*facts.battery->charging ? "charging" : plugged ? "plugged in" : "not charging");
  }
  if (facts.battery->temperature) parts.push_back(degrees(*facts.battery->temperature));
  return join(parts, ", ");
}

std::string heat_text(const DeviceFacts& facts) {
  const auto& zones = facts.thermal_zones;
  if (zones.empty()) return absent(facts, "thermal_zones", "no sensors");
  const auto hottest = std::max_element(
      zones.begin(), zones.end(), [](const auto& a, const auto& b) { return a.temperature < b.temperature; });
  const std::string text = fmt::format("{} at {}", degrees(hottest->temperature), hottest->name);
  return zones.size() == 1 ? text : fmt::format("{}, the hottest of {} sensors", text, zones.size());
}

std::string wifi_text(const DeviceFacts& facts) {
  if (!facts.wifi) return absent(facts, "wifi", "none");
  if (!facts.wifi->connected) return "not connected";
  Parts parts;
  const std::string band = device::band_of(facts.wifi->frequency_mhz.value_or(0));
  parts.push_back(band.empty() ? "connected" : band);
  if (facts.wifi->rate_mbit) parts.push_back(fmt::format("{:.0f} Mbit/s", *facts.wifi->rate_mbit));
  if (const auto signal = facts.wifi->signal_dbm) {
    const char* word = *signal >= -60 ? "good" : *signal >= -72 ? "fair" : "weak";
    parts.push_back(fmt::format("signal {} ({} dBm)", word, *signal));
  }
  return join(parts, ", ");
}

std::string addresses_text(const DeviceFacts& facts) {
  constexpr std::size_t kShown = 3;
  Parts parts;
  for (const bool ipv6 : {false, true}) {
    for (const auto& one : facts.addresses) {
      if (one.ipv6 == ipv6) parts.push_back(fmt::format("{} ({})", one.address, one.interface));
    }
  }
  if (parts.empty()) return absent(facts, "addresses", "none: not on a network");
  const std::size_t more = parts.size() - std::min(parts.size(), kShown);
  parts.resize(std::min(parts.size(), kShown));
  return join(parts, ", ") + (more > 0 ? fmt::format(", {} more", more) : "");
}

void add_line(std::string& text, std::string_view name, const std::string& value) {
  text += fmt::format("{:<12}{}\n", name, printable(value));
}

/// What is hidden, and each cure once.
std::string hidden_text(const DeviceFacts& facts) {
  if (facts.hidden.empty()) return "";
  std::string text = "\nHidden by the system:\n";
  Parts cures;
  for (const device::HiddenFact& one : facts.hidden) {
    text += fmt::format("  {}: {}\n", one.fact, printable(one.why));
    const bool new_cure = std::find(cures.begin(), cures.end(), one.cure) == cures.end();
    if (!one.cure.empty() && new_cure) cures.push_back(one.cure);
  }
  for (const std::string& cure : cures) text += fmt::format("  to see more: {}\n", printable(cure));
  return text;
}

}  // namespace

std::string table_of(const DeviceFacts& facts) {
  std::string text;
  add_line(text, "device", model_text(facts));
  add_line(text, "memory", memory_text(facts.memory));
  add_line(text, "", facts.memory.policy.reason);
  add_line(text, "processor", processor_text(facts));
  add_line(text, "cores", cores_text(facts));
  add_line(text, "threads", fmt::format("{}: {}", facts.cores.decode.count, facts.cores.decode.reason));
  add_line(text, "features", features_text(facts));
  add_line(text, "storage", storage_text(facts));
  add_line(text, "battery", battery_text(facts));
  add_line(text, "heat", heat_text(facts));
  add_line(text, "wi-fi", wifi_text(facts));
  add_line(text, "addresses", addresses_text(facts));
  return text + hidden_text(facts);
}

}  // namespace caravan::cli
