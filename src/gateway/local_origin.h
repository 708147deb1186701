// Protection of a server on loopback against web pages of other sites (DNS rebinding, forged requests). Pure.
#pragma once

#include <optional>
#include <string>

#include "gateway/http_request.h"

namespace caravan::gateway {

/// A browser can be made to send a request to this device by any page that it shows. A page whose site points
/// its name here (DNS rebinding) betrays itself by a Host header with a name other than localhost; every
/// other page by an Origin header that is not on this device. Both are refused with 403 and the reason.
/// Programs that are no browsers pass.
std::optional<ApiError> check_local_origin(const Request& request);

}  // namespace caravan::gateway
