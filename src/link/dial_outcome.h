// How trying to connect to a device went, as far as the network tells. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/system/error_code.hpp>

#include "base/result.h"

namespace caravan::link {

enum class DialOutcome {
  connected,
  refused,      ///< the device answered that nobody listens there
  timed_out,    ///< nothing came back
  unreachable,  ///< the network said that there is no such device, or no way there
  turned_away,  ///< somebody answers, but it is another device, or it does not let this one in
};

/// As it is written in JSON, e.g. "timed_out".
std::string_view name_of(DialOutcome outcome);
std::optional<DialOutcome> dial_outcome_from(std::string_view name);

/// Of a TCP connection that failed with this; ours to have closed it means that its time was up.
DialOutcome outcome_of(const boost::system::error_code& failure);

/// One try.
struct DialReport {
  std::string device;  ///< that was looked for; empty: whoever is there
  std::string host;
  int port = 0;
  DialOutcome outcome = DialOutcome::connected;
  std::optional<Error> error;  ///< why it is not linked
};

}  // namespace caravan::link
