#include "cli/status_table.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/text_table.h"

namespace caravan::cli {
namespace {

std::string link_text(const Json& device) {
  if (flag_in(device, "self")) return "this device";
  if (!flag_in(device, "linked")) {
    const double ago = number_in(device, "last_heard_ms", -1);
    if (ago < 0) return "away";
    return "away, seen " + format_duration(std::chrono::duration<double>(ago / 1000)) + " ago";
  }
  if (flag_in(device, "suspect")) return "silent";
  const double round_trip = number_in(device, "round_trip_ms", -1);
  return round_trip < 0 ? "linked" : fmt::format("{:.1f} ms", round_trip);
}

std::string does_text(const Json& device) {
  const std::string role = text_in(device, "role");
  const std::string phase = text_in(device, "phase");
  if (role.empty()) return "";
  if (phase == "failed") return "failed";
  if (role == "idle") return text_in(device, "engine_build").empty() ? "has no engine" : "idle";
  if (phase == "loading") return fmt::format("{} loads {:.0f}%", role, number_in(device, "progress") * 100);
  return phase == "ready" ? role : role + ", " + phase;
}

/// "0-11"
std::string layers_of(const Json& share) {
  const int count = static_cast<int>(number_in(share, "layers"));
  const int first = static_cast<int>(number_in(share, "first_layer"));
  return count == 0 ? "head" : fmt::format("{}-{}", first, first + count - 1);
}

/// Of all its replicas.
std::vector<Json> shares_of(const Json& deployment) {
  std::vector<Json> shares;
  for (const Json& replica : part_of(deployment, "replicas")) {
    const Json& part = part_of(replica, "shares");
    shares.insert(shares.end(), part.begin(), part.end());
  }
  return shares;
}

/// Of the plan that runs.
std::string layers_text(const Json& view, const std::string& id) {
  for (const Json& deployment : part_of(view, "deployments")) {
    for (const Json& share : shares_of(deployment)) {
      if (text_in(share, "device") != id) continue;
      return layers_of(share);
    }
  }
  return "";
}

std::string heat_text(const Json& device) {
  const double celsius = number_in(device, "celsius", -1000);
  return celsius < -999 ? "" : fmt::format("{:.0f} °C", celsius);
}

std::string battery_text(const Json& device) {
  const double percent = number_in(device, "percent", -1);
  if (percent < 0) return "";
  return fmt::format("{:.0f} %{}", percent, flag_in(device, "charging") ? " ⚡" : "");
}

/// Decimal, as networks are measured.
std::string bytes_rate(double bytes) {
  return bytes < 1e6 ? fmt::format("{:.2f} MB/s", bytes / 1e6) : fmt::format("{:.1f} MB/s", bytes / 1e6);
}

/// Of a master's last answer, or of what crosses between a worker and its master, both ways.
std::string rate_text(const Json& device) {
  const double decode = number_in(part_of(part_of(device, "rates"), "last"), "decode");
  if (decode > 0) return format_token_rate(decode) + " tok/s";
  const Json& traffic = part_of(device, "traffic");
  const double bytes = number_in(traffic, "in") + number_in(traffic, "out");
  return bytes > 0 ? bytes_rate(bytes) : "";
}

std::string bandwidth_text(const Json& device) {
  const double bandwidth = number_in(device, "bandwidth");
  return flag_in(device, "linked") && bandwidth > 0 ? bytes_rate(bandwidth) : "";
}

const std::vector<TableColumn>& columns() {
  static const std::vector<TableColumn> all{{"device"},  {"id", 3},   {"link"},      {"bandwidth", 5},
                                            {"does"},    {"layers"},  {"memory", 1}, {"heat"},
                                            {"battery"}, {"rate", 2}, {"api", 4}};
  return all;
}

std::vector<std::string> row_of(const Json& view, const Json& device) {
  std::string name = printable(text_in(device, "name"));
  if (flag_in(device, "owner")) name += " *";
  const auto memory = Bytes{static_cast<std::uint64_t>(std::max(0.0, number_in(device, "memory")))};
  const bool measured = device.contains("measured") ? flag_in(device, "measured") : true;
  std::string state = does_text(device);
  if (!measured && state == "idle") state = "measures its speed";
  return {name,
          text_in(device, "short_id"),
          link_text(device),
          bandwidth_text(device),
          std::move(state),
          layers_text(view, text_in(device, "id")),
          memory.count > 0 ? format_bytes(memory) : "",
          heat_text(device),
          battery_text(device),
          rate_text(device),
          text_in(device, "api")};
}

std::vector<std::string> plain_worker_lines(const Json& deployment) {
  std::vector<std::string> lines;
  for (const Json& share : shares_of(deployment)) {
    if (!flag_in(share, "plain")) continue;
    lines.push_back(fmt::format("  plain worker {}: layers {}; insecure: not encrypted, open to its network",
                                printable(text_in(share, "device")), layers_of(share)));
  }
  return lines;
}

std::string expected_text(const Json& deployment) {
  double decode = 0;
  const Json& replicas = part_of(deployment, "replicas");
  for (const Json& replica : replicas) decode += number_in(part_of(replica, "predicted"), "decode");
  if (decode <= 0) return "";
  const std::string copies = replicas.size() > 1 ? fmt::format("{} replicas, ", replicas.size()) : "";
  return fmt::format("  expected: {}{} tok/s", copies, format_token_rate(decode));
}

/// What was really measured, of all masters of a model: beside what was expected.
std::string measured_text(const Json& view, const Json& deployment) {
  double last = 0;
  double minute = 0;
  double prefill = 0;
  for (const Json& device : part_of(view, "devices")) {
    if (text_in(device, "model") != text_in(deployment, "model")) continue;
    const Json& rates = part_of(device, "rates");
    last += number_in(part_of(rates, "last"), "decode");
    minute += number_in(part_of(rates, "minute"), "decode");
    prefill += number_in(part_of(rates, "last"), "prefill");
  }
  if (last <= 0) return "";
  std::string text = fmt::format("  measured: {} tok/s in the last answer", format_token_rate(last));
  if (minute > 0) text += fmt::format(", {} in the last minute", format_token_rate(minute));
  if (prefill > 0) text += fmt::format("; prompts {} tok/s", format_token_rate(prefill));
  return text;
}

/// Where this device serves its API: the table may have no room for it.
std::string api_text(const Json& view) {
  for (const Json& device : part_of(view, "devices")) {
    const std::string api = text_in(device, "api");
    if (flag_in(device, "self") && !api.empty()) return fmt::format("  API on this device: {}", api);
  }
  return "";
}

/// Which devices carry it: worth a line when there are several models.
std::string carriers_text(const Json& deployment) {
  std::vector<std::string> names;
  for (const Json& share : shares_of(deployment)) names.push_back(printable(text_in(share, "name")));
  return names.empty() ? "" : "  on " + join(names, ", ");
}

std::string loading_text(const Json& view, const std::string& model) {
  for (const Json& device : part_of(view, "devices")) {
    const bool loads = text_in(device, "role") == "master" && text_in(device, "phase") == "loading";
    if (loads && printable(text_in(device, "model")) == model)
      return fmt::format("loading {}  {:.0f}%", model, number_in(device, "progress") * 100);
  }
  return model + ": starts the engine";
}

/// Those that should carry little and carry something all the same.
std::vector<std::string> needed_lines(const Json& deployment) {
  std::vector<std::string> lines;
  for (const Json& share : shares_of(deployment)) {
    const std::string why = text_in(share, "spared");
    if (!why.empty())
      lines.push_back(fmt::format("  warning: {} carries layers {}: {}", printable(text_in(share, "name")),
                                  layers_of(share), printable(why)));
  }
  return lines;
}

std::vector<std::string> deployment_lines(const Json& view) {
  const Json& deployments = part_of(view, "deployments");
  if (deployments.empty()) return {"no model is served: `caravan serve MODEL`"};
  std::vector<std::string> lines;
  for (const Json& deployment : deployments) {
    lines.push_back(deployment_text(view, deployment));
    std::string carriers = deployments.size() > 1 ? carriers_text(deployment) : "";
    if (!carriers.empty()) lines.push_back(std::move(carriers));
    for (std::string& line :
         std::vector<std::string>{expected_text(deployment), measured_text(view, deployment)}) {
      if (!line.empty()) lines.push_back(std::move(line));
    }
    const auto insecure = plain_worker_lines(deployment);
    lines.insert(lines.end(), insecure.begin(), insecure.end());
    const auto needed = needed_lines(deployment);
    lines.insert(lines.end(), needed.begin(), needed.end());
  }
  return lines;
}

}  // namespace

const Json& deployment_of(const Json& view, const std::string& model) {
  for (const Json& deployment : part_of(view, "deployments")) {
    if (text_in(deployment, "model") == model) return deployment;
  }
  return part_of(view, "");
}

std::string deployment_text(const Json& view, const Json& deployment) {
  const std::string model = printable(text_in(deployment, "model", "unknown"));
  const std::string stage = text_in(deployment, "stage", "idle");
  if (stage == "serving") {
    const bool is_fabric = text_in(deployment, "data_path") == "fabric";
    return fmt::format("serves {}{}", model, is_fabric ? " through the fabric" : "");
  }
  if (stage == "asked") return model + ": waits for the device that controls to take it on";
  if (stage == "waiting") return model + ": waits for devices, and for their speed to be measured";
  if (stage == "planning") return model + ": plans who carries what";
  if (stage == "starting") return loading_text(view, model);
  if (stage == "stopping") return model + ": stops the engine";
  if (stage != "failed") return model + ": " + printable(stage);
  const Json& error = part_of(deployment, "error");
  const std::string hint = text_in(error, "hint");
  return fmt::format("{}: failed: {}{}", model, printable(text_in(error, "message", "unknown")),
                     hint.empty() ? "" : "; " + printable(hint));
}

std::vector<std::string> status_lines(const Json& view, std::size_t most) {
  const Json& cluster = part_of(view, "cluster");
  const Json& devices = part_of(view, "devices");
  std::vector<std::string> lines;
  lines.push_back(fmt::format("cluster '{}', {} {} (* may let others in)",
                              printable(text_in(cluster, "name")), devices.size(),
                              devices.size() == 1 ? "device" : "devices"));
  if (!flag_in(cluster, "member"))
    lines.emplace_back("  this device was removed from it; `caravan join` lets it into a cluster again");
  std::vector<std::vector<std::string>> rows;
  rows.reserve(devices.size());
  for (const Json& device : devices) rows.push_back(row_of(view, device));
  const auto table = table_lines(columns(), rows, most);
  lines.insert(lines.end(), table.begin(), table.end());
  const auto served = deployment_lines(view);
  lines.insert(lines.end(), served.begin(), served.end());
  if (auto api = api_text(view); !api.empty()) lines.push_back(std::move(api));
  for (const Json& device : devices) {
    const Json& error = part_of(device, "error");
    if (!error.empty()) lines.push_back("  " + printable(text_in(error, "message")));
    const std::string spared = text_in(part_of(device, "band"), "why");
    if (!spared.empty())
      lines.push_back(
          fmt::format("  {} should carry little: {}", printable(text_in(device, "name")), printable(spared)));
    const std::string speed = text_in(part_of(device, "speed"), "text");
    if (!speed.empty())
      lines.push_back(fmt::format("  {}: {}", printable(text_in(device, "name")), printable(speed)));
  }
  for (const Json& problem : part_of(view, "problems")) {
    lines.push_back(fmt::format("problem: {}", printable(text_in(problem, "message"))));
    if (const std::string hint = text_in(problem, "hint"); !hint.empty())
      lines.push_back("  hint: " + printable(hint));
  }
  return lines;
}

}  // namespace caravan::cli
