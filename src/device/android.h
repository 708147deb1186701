// Whether this is Android, which one, and whether Termux is around us.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "device/source.h"
#include "device/system_view.h"

namespace caravan::device {

struct AndroidFacts {
  std::optional<std::string> version;  ///< ro.build.version.release, e.g. "14"
  std::optional<int> api_level;        ///< ro.build.version.sdk, e.g. 34
  std::optional<std::string> model;    ///< maker and model, e.g. "Google Pixel 8"
  std::optional<std::string>
      processor;  ///< maker and model of the chip (Android 12+), e.g. "Qualcomm SM8550"
};

/// Whether Android's app process is below `root`; every Android has it, and lets apps see that it is there.
bool is_android(const fs::path& root);
/// Whether we run inside of Termux: other apps may not look into its folder.
bool is_termux(const fs::path& root);

/// "[name]: [value]" lines of `getprop`; others, parts of values with several lines, are left out.
std::map<std::string, std::string> parse_getprop(std::string_view text);
AndroidFacts android_facts_from(const std::map<std::string, std::string>& properties);

/// Nothing when this is not Android. Runs getprop: blocks for as long as that takes, at most 5 seconds.
std::optional<AndroidFacts> read_android(const SystemView& view, HiddenFacts& hidden);

/// Runs a program that may be missing. Code::not_found without a way to run programs.
Result<std::string> run_program(const SystemView& view, const std::vector<std::string>& arguments);

}  // namespace caravan::device
