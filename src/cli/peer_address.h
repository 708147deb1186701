// Addresses as people write them: "192.168.1.20", "tablet.lan:7433", "[fe80::1%wlan0]:7433".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "link/dial.h"
#include "link/neighbours.h"

namespace caravan::cli {

/// Without a port it is `usual_port`. Code::invalid says what is wrong with it.
Result<link::LinkAddress> peer_address(std::string_view text, std::uint16_t usual_port = link::kLinkPort);
Result<std::vector<link::LinkAddress>> peer_addresses(const std::vector<std::string>& texts);

}  // namespace caravan::cli
