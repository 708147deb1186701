// What `caravan device` shows to a person. Pure.
#pragma once

#include <string>

#include "device/facts.h"

namespace caravan::cli {

/// One screen: a line a fact, then what is hidden and what would reveal it.
std::string table_of(const device::DeviceFacts& facts);

}  // namespace caravan::cli
