// What a device is called: what its person says, else what its maker or its system call it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "device/system_view.h"

namespace caravan::cli {

inline constexpr std::size_t kMaxDeviceName = 64;  // bytes; what a beacon has room for

/// A name that can be typed without quotes, from the first of the two that has any letter or digit of ASCII:
/// "google-pixel-8" from "Google Pixel 8". "this-device" when neither has ("localhost" says nothing either).
std::string default_device_name(const std::optional<std::string>& model, std::string_view host);

/// Of this device. Blocks: on Android for a program, at most 5 seconds.
std::string default_device_name(const device::SystemView& system);

/// A name that its person chose: at most 64 bytes, nothing that cannot be printed.
Result<void> check_device_name(std::string_view name);

}  // namespace caravan::cli
