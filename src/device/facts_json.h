// The facts of a device as JSON; docs/device-facts.md lists the fields.
#pragma once

#include "base/json.h"
#include "device/facts.h"

namespace caravan::device {

/// Sizes in bytes, temperatures in °C; what is not known is null.
Json to_json(const DeviceFacts& facts);

}  // namespace caravan::device
