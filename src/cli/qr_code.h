// A QR code for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace caravan::cli {

/// `text` in capitals, which takes the least room (QR's alphanumeric mode), as lines of half blocks, dark on
/// light whatever the terminal's colours are. "" when it is too long for a QR code.
std::string qr_code(std::string_view text);

}  // namespace caravan::cli
