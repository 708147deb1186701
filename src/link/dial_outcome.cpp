#include "link/dial_outcome.h"

#include <array>
#include <utility>

#include <boost/asio/error.hpp>

namespace caravan::link {
namespace {

constexpr std::array<std::pair<DialOutcome, std::string_view>, 5> kOutcomes{
    {{DialOutcome::connected, "connected"},
     {DialOutcome::refused, "refused"},
     {DialOutcome::timed_out, "timed_out"},
     {DialOutcome::unreachable, "unreachable"},
     {DialOutcome::turned_away, "turned_away"}}};

}  // namespace

std::string_view name_of(DialOutcome outcome) {
  for (const auto& [value, name] : kOutcomes) {
    if (value == outcome) return name;
  }
  return "";
}

std::optional<DialOutcome> dial_outcome_from(std::string_view name) {
  for (const auto& [value, known] : kOutcomes) {
    if (known == name) return value;
  }
  return std::nullopt;
}

DialOutcome outcome_of(const boost::system::error_code& failure) {
  namespace error = boost::asio::error;
  if (!failure) return DialOutcome::connected;
  // A device that was there resets what it knows nothing of.
  if (failure == error::connection_refused || failure == error::connection_reset) return DialOutcome::refused;
  const bool no_way = failure == error::host_unreachable || failure == error::network_unreachable ||
                      failure == error::network_down || failure == error::host_not_found;
  return no_way ? DialOutcome::unreachable : DialOutcome::timed_out;
}

}  // namespace caravan::link
