#include "cli/device_name.h"

#include <sys/utsname.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "device/android.h"

namespace caravan::cli {
namespace {

/// Lower case, and a dash for whatever is neither letter nor digit.
std::string typeable(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool plain = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (plain) name += lower;
    if (!plain && !name.empty() && name.back() != '-') name += '-';
  }
  name.resize(std::min(name.size(), kMaxDeviceName));
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

}  // namespace

std::string default_device_name(const std::optional<std::string>& model, std::string_view host) {
  if (std::string name = typeable(model.value_or("")); !name.empty()) return name;
  std::string name = typeable(host);
  return name.empty() || name == "localhost" ? "this-device" : name;
}

std::string default_device_name(const device::SystemView& system) {
  device::HiddenFacts hidden;  // a model that is not told is one that is not known
  const auto android = device::read_android(system, hidden);
  utsname host{};
  const bool named = ::uname(&host) == 0;
  return default_device_name(android ? android->model : std::nullopt, named ? host.nodename : "");
}

Result<void> check_device_name(std::string_view name) {
  const bool blank = trim(name).empty();
  const bool odd = printable(name) != name || name.find_first_of("\n\t") != std::string_view::npos;
  if (!blank && !odd && name.size() <= kMaxDeviceName) return {};
  const std::string why = blank ? "is empty"
                          : odd ? "has characters that cannot be printed"
                                : fmt::format("has {} bytes", name.size());
  return Error{Code::invalid, fmt::format("--name: '{}' {}", printable(name.substr(0, kMaxDeviceName)), why),
               fmt::format("choose one of at most {} bytes, for example pixel-8", kMaxDeviceName)};
}

}  // namespace caravan::cli
