#include "cluster/condition.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "plan/cluster.h"

namespace caravan::cluster {
namespace {

constexpr std::size_t kMostText = 300;
constexpr std::array kSpeedStates{SpeedNote::State::waits, SpeedNote::State::measures,
                                  SpeedNote::State::stays};
constexpr double kColdest = -60;
constexpr double kHottest = 200;
constexpr double kMostRate = 1e15;      // as link::LinkSpeed
constexpr double kLeastRate = 1e-6;     // of what is divided by
constexpr int kOldest = 1'000'000'000;  // seconds: can be added to

Json to_json(const TokenRates& rates) { return {{"decode", rates.decode}, {"prefill", rates.prefill}}; }

Json to_json(const Way& way) {
  return {{"from", way.from},       {"to", way.to},
          {"address", way.address}, {"outcome", link::name_of(way.outcome)},
          {"why", way.why},         {"age", way.age}};
}

double number(Fields& fields, std::string_view name, double least, double most) {
  const double value = fields.number(name);
  if (!std::isfinite(value) || value < least || value > most) fields.fail(name, "is out of range");
  return value;
}

std::string short_text(Fields& fields, std::string_view name) {
  std::string text = fields.text(name);
  if (text.size() > kMostText) fields.fail(name, "is too long");
  return text;
}

std::optional<double> celsius(Fields& fields, const Json& value, const char* name) {
  return value.contains(name) ? std::optional(number(fields, name, kColdest, kHottest)) : std::nullopt;
}

std::vector<Json> bounded(Fields& fields, std::string_view name, std::size_t most) {
  std::vector<Json> items = fields.list_or_none(name);
  if (items.size() <= most) return items;
  fields.fail(name, fmt::format("must be at most {}", most));
  return {};
}

TokenRates read_token_rates(Fields& parent, const char* name) {
  const Json* value = parent.object_or_none(name);
  if (value == nullptr) return {};
  Fields fields(*value, name);
  const TokenRates rates{number(fields, "decode", 0, kMostRate), number(fields, "prefill", 0, kMostRate)};
  if (!fields.ok()) parent.fail(fields.error());
  return rates;
}

std::optional<AnswerRates> read_rates(Fields& parent) {
  const Json* value = parent.object_or_none("rates");
  if (value == nullptr) return std::nullopt;
  Fields fields(*value, "rates");
  AnswerRates rates;
  rates.last = read_token_rates(fields, "last");
  rates.minute = read_token_rates(fields, "minute");
  rates.requests = fields.small_or("requests", 0);
  if (!fields.ok()) parent.fail(fields.error());
  return rates;
}

std::optional<SpeedNote> read_speed(Fields& parent) {
  const Json* value = parent.object_or_none("speed");
  if (value == nullptr) return std::nullopt;
  Fields fields(*value, "speed");
  SpeedNote note{number(fields, "measured", kLeastRate, kMostRate),
                 number(fields, "planned", kLeastRate, kMostRate)};
  const std::string name = fields.text("state");
  const auto state = std::find_if(kSpeedStates.begin(), kSpeedStates.end(),
                                  [&](SpeedNote::State one) { return name_of(one) == name; });
  if (state == kSpeedStates.end()) fields.fail("state", "has an unknown value");
  if (state != kSpeedStates.end()) note.state = *state;
  if (!fields.ok()) parent.fail(fields.error());
  return note;
}

MeasuredLink read_link(Fields& parent, const Json& value) {
  Fields fields(value, "links[]");
  MeasuredLink link{short_text(fields, "device"), number(fields, "upload", 0, kMostRate),
                    number(fields, "download", 0, kMostRate)};
  if (!fields.ok()) parent.fail(fields.error());
  return link;
}

int read_port(Fields& fields, const char* name, int least) {
  const int port = fields.small_or(name, 0);
  if (port < least || port > 65535) fields.fail(name, "is no port");
  return port;
}

OwnAddress read_address(Fields& parent, const Json& value) {
  Fields fields(value, "addresses[]");
  OwnAddress address{short_text(fields, "address"), fields.small("prefix")};
  if (address.prefix > 128) fields.fail("prefix", "must be at most 128");
  if (!fields.ok()) parent.fail(fields.error());
  return address;
}

Place read_place(Fields& parent, const Json& value) {
  Fields fields(value, "places[]");
  Place place{short_text(fields, "device"), short_text(fields, "host"), read_port(fields, "port", 1)};
  if (!fields.ok()) parent.fail(fields.error());
  return place;
}

Way read_way(Fields& parent, const Json& value) {
  Fields fields(value, "ways[]");
  Way way;
  way.from = short_text(fields, "from");
  way.to = short_text(fields, "to");
  way.address = short_text(fields, "address");
  const auto outcome = link::dial_outcome_from(fields.text("outcome"));
  if (!outcome) fields.fail("outcome", "has an unknown value");
  way.outcome = outcome.value_or(link::DialOutcome::timed_out);
  way.why = short_text(fields, "why");
  way.age = fields.small("age");
  if (way.age > kOldest) fields.fail("age", "is out of range");
  if (!fields.ok()) parent.fail(fields.error());
  return way;
}

void read_body(Fields& fields, const Json& value, Condition& condition) {
  condition.battery_celsius = celsius(fields, value, "battery_celsius");
  condition.processor_celsius = celsius(fields, value, "processor_celsius");
  if (value.contains("battery_percent"))
    condition.battery_percent = static_cast<int>(number(fields, "battery_percent", 0, 100));
  if (value.contains("charging")) condition.charging = fields.flag_or("charging", false);
  condition.rates = read_rates(fields);
  condition.speed = read_speed(fields);
  for (const Json& item : bounded(fields, "links", kMostMeasuredLinks))
    condition.links.push_back(read_link(fields, item));
  if (value.contains("handling")) condition.handling = number(fields, "handling", 0, plan::kMostHandling);
  for (const Json& item : bounded(fields, "addresses", kMostOwnAddresses))
    condition.addresses.push_back(read_address(fields, item));
  condition.link_port = read_port(fields, "link_port", 0);
  for (const Json& item : bounded(fields, "places", kMostPlaces))
    condition.places.push_back(read_place(fields, item));
  condition.is_hotspot = fields.flag_or("hotspot", false);
  condition.membership_version = fields.whole_or("membership_version", 0);
  condition.membership_digest = fields.text_or("membership_digest", "");
  if (condition.membership_digest.size() > kMostText) fields.fail("membership_digest", "is too long");
  for (const Json& item : bounded(fields, "ways", kMostWays))
    condition.ways.push_back(read_way(fields, item));
}

}  // namespace

std::string_view name_of(SpeedNote::State state) {
  constexpr std::array<std::string_view, 3> kNames{"waits", "measures", "stays"};
  return kNames.at(static_cast<std::size_t>(state));
}

std::string describe(const SpeedNote& note) {
  const bool is_slower = note.measured < note.planned;
  const double times = is_slower ? note.planned / note.measured : note.measured / note.planned;
  const char* what = note.state == SpeedNote::State::waits
                         ? "speed is measured again at a quiet moment, at most once an hour"
                     : note.state == SpeedNote::State::measures
                         ? "measures its speed again"
                         : "also after measuring again, so that is usual here";
  return fmt::format("answers {} {:.1f} times as {} as planned ({:.1f} instead of {:.1f} tokens/s): {}",
                     is_slower ? "take" : "are", times, is_slower ? "long" : "fast", note.measured,
                     note.planned, what);
}

Json to_json(const Condition& condition) {
  Json value{{"version", kConditionVersion}};
  if (condition.battery_celsius) value["battery_celsius"] = *condition.battery_celsius;
  if (condition.processor_celsius) value["processor_celsius"] = *condition.processor_celsius;
  if (condition.battery_percent) value["battery_percent"] = *condition.battery_percent;
  if (condition.charging) value["charging"] = *condition.charging;
  if (condition.rates) {
    value["rates"] = {{"last", to_json(condition.rates->last)},
                      {"minute", to_json(condition.rates->minute)},
                      {"requests", condition.rates->requests}};
  }
  if (condition.speed) {
    value["speed"] = {{"measured", condition.speed->measured},
                      {"planned", condition.speed->planned},
                      {"state", name_of(condition.speed->state)}};
  }
  Json& links = value["links"] = Json::array();
  for (const MeasuredLink& link : condition.links)
    links.push_back({{"device", link.device}, {"upload", link.upload}, {"download", link.download}});
  if (condition.handling) value["handling"] = *condition.handling;
  Json& addresses = value["addresses"] = Json::array();
  for (const OwnAddress& own : condition.addresses)
    addresses.push_back({{"address", own.address}, {"prefix", own.prefix}});
  if (condition.link_port > 0) value["link_port"] = condition.link_port;
  for (const Place& place : condition.places)
    value["places"].push_back({{"device", place.device}, {"host", place.host}, {"port", place.port}});
  if (condition.is_hotspot) value["hotspot"] = true;
  value["membership_version"] = condition.membership_version;
  value["membership_digest"] = condition.membership_digest;
  Json& ways = value["ways"] = Json::array();
  for (const Way& way : condition.ways) ways.push_back(to_json(way));
  return value;
}

Result<Condition> condition_from_json(const Json& value) {
  Fields fields(value, "condition");
  const int version = fields.small("version");
  if (fields.ok() && version != kConditionVersion) {
    return Error{Code::incompatible,
                 fmt::format("a device's condition of version {}, this Caravan knows version {}", version,
                             kConditionVersion),
                 "run the same Caravan on every device"};
  }
  Condition condition;
  if (fields.ok()) read_body(fields, value, condition);
  if (!fields.ok()) return fields.error();
  return condition;
}

}  // namespace caravan::cluster
