#include "cli/qr_code.h"

#include <qrencode.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace caravan::cli {
namespace {

constexpr int kQuiet = 2;  // modules around it; the standard's four are not needed on a screen

}  // namespace

std::string qr_code(std::string_view text) {
  std::string capitals(text);
  std::transform(capitals.begin(), capitals.end(), capitals.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const std::unique_ptr<QRcode, void (*)(QRcode*)> code(
      QRcode_encodeString(capitals.c_str(), 0, QR_ECLEVEL_L, QR_MODE_8, 1), QRcode_free);
  if (!code) return "";
  const int width = code->width;
  const auto is_dark = [&](int x, int y) {
    const bool inside = x >= 0 && y >= 0 && x < width && y < width;
    return inside && (code->data[y * width + x] & 1U) != 0;
  };
  std::string lines;
  for (int y = -kQuiet; y < width + kQuiet; y += 2) {
    lines += "\x1b[30;47m";  // black on white
    for (int x = -kQuiet; x < width + kQuiet; ++x) {
      const bool upper = is_dark(x, y);
      const bool lower = is_dark(x, y + 1);
      lines += upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ";
    }
    lines += "\x1b[0m\n";
  }
  return lines;
}

}  // namespace caravan::cli
