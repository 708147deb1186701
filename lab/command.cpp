#include "lab/command.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::lab {
namespace {

constexpr double kMaxMegabits = 1e5;
constexpr double kMaxMilliseconds = 1e5;

Error invalid(std::string message, std::string hint) {
  return {Code::invalid, std::move(message), std::move(hint)};
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  for (std::string& word : split(trim(line), ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

Result<std::size_t> parse_station(const std::string& text, std::size_t stations) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > stations) {
    return invalid(fmt::format("there is no device '{}'", printable(text)),
                   fmt::format("devices are 1 to {}", stations));
  }
  return number - 1;
}

Result<double> parse_number(const Setting& setting, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(setting.value.c_str(), &end);
  const bool whole = !setting.value.empty() && end == setting.value.c_str() + setting.value.size();
  if (!whole || !std::isfinite(value) || value < least || value > most) {
    return invalid(fmt::format("{}={} is out of range", setting.key, printable(setting.value)),
                   fmt::format("give a number from {} to {}", least, most));
  }
  return value;
}

Result<void> set_number(double& target, const Setting& setting, double least, double most) {
  const Result<double> value = parse_number(setting, least, most);
  if (!value) return value.error();
  target = *value;
  return {};
}

Result<void> set_milliseconds(std::chrono::nanoseconds& target, const Setting& setting) {
  const Result<double> value = parse_number(setting, 0, kMaxMilliseconds);
  if (!value) return value.error();
  target = std::chrono::nanoseconds(std::llround(*value * 1e6));
  return {};
}

Result<void> set_bytes(Bytes& target, const Setting& setting) {
  const Result<Bytes> value = parse_bytes(setting.value);
  if (!value) return value.error();
  target = *value;
  return {};
}

Result<void> apply(Link& link, const Setting& setting) {
  const std::string& key = setting.key;
  if (key == "rate") return set_number(link.megabits, setting, 0.01, kMaxMegabits);
  if (key == "delay") return set_milliseconds(link.delay, setting);
  if (key == "jitter") return set_milliseconds(link.jitter, setting);
  if (key == "overhead") return set_milliseconds(link.overhead, setting);
  if (key == "loss") return set_number(link.loss, setting, 0, 1);
  if (key == "retry") return set_number(link.retry, setting, 0, 1);
  if (key == "queue") return set_bytes(link.queue, setting);
  if (key == "aggregate") return set_bytes(link.aggregate, setting);
  return invalid(
      fmt::format("there is no setting '{}'", printable(key)),
      "rate (Mbit/s), delay, jitter, overhead (ms), loss, retry (0 to 1), queue, aggregate (bytes)");
}

Result<Command> parse_set(std::span<const std::string> words, std::size_t stations) {
  SetLink command;
  if (!words.empty() && words[0].find('=') == std::string::npos) {
    const Result<std::size_t> station = parse_station(words[0], stations);
    if (!station) return station.error();
    command.station = *station;
    words = words.subspan(1);
  }
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return invalid(fmt::format("'{}' has no value", printable(word)), "write it as rate=20");
    }
    command.settings.push_back({word.substr(0, equals), word.substr(equals + 1)});
  }
  if (command.settings.empty()) return invalid("set what?", "set [DEVICE] rate=20 delay=5 loss=0.01 ...");
  const Result<Link> checked = apply_settings({}, command.settings);
  if (!checked) return checked.error();
  return Command(command);
}

Result<Command> parse_profile(std::span<const std::string> words) {
  const std::string name = join(words, " ");
  const Profile* profile = find_profile(name);
  if (profile == nullptr) return no_such_profile(name);
  return Command(UseProfile{profile});
}

}  // namespace

Result<Command> parse_command(std::string_view line, std::size_t stations) {
  constexpr std::array<std::pair<std::string_view, StationState>, 3> kStates{
      {{"vanish", StationState::vanished},
       {"freeze", StationState::frozen},
       {"restore", StationState::present}}};
  const std::vector<std::string> words = words_of(line);
  const std::string verb = words.empty() ? "" : words[0];
  const std::span<const std::string> rest = std::span(words).subspan(words.empty() ? 0 : 1);
  for (const auto& [name, state] : kStates) {
    if (verb != name) continue;
    if (rest.size() != 1) return invalid(fmt::format("{} which device?", name), fmt::format("{} 2", name));
    const Result<std::size_t> station = parse_station(rest[0], stations);
    if (!station) return station.error();
    return Command(SetState{*station, state});
  }
  if (verb == "set") return parse_set(rest, stations);
  if (verb == "profile") return parse_profile(rest);
  if (verb == "stats" && rest.empty()) return Command(Stats{});
  if (verb == "stop" && rest.empty()) return Command(Stop{});
  return invalid(fmt::format("'{}' is no command", printable(trim(line))),
                 "vanish, freeze, restore DEVICE; set [DEVICE] KEY=VALUE...; profile NAME; stats; stop");
}

Result<Link> apply_settings(Link link, std::span<const Setting> settings) {
  for (const Setting& setting : settings) {
    const Result<void> applied = apply(link, setting);
    if (!applied) return applied.error();
  }
  return link;
}

}  // namespace caravan::lab
