#include "device/android.h"

#include <algorithm>

#include "base/text.h"

namespace caravan::device {
namespace {

constexpr std::chrono::seconds kProgramDeadline{5};

/// "Google" and "Pixel 8" as "Google Pixel 8"; a model that begins with its maker ("OnePlus OnePlus ...")
/// says it once.
std::optional<std::string> maker_and_model(const std::string& maker, const std::string& model) {
  if (model.empty() || model == "unknown") return std::nullopt;
  if (maker.empty() || maker == "unknown" || model.rfind(maker, 0) == 0) return model;
  return maker + " " + model;
}

}  // namespace

bool is_android(const fs::path& root) {
  return is_there(root / "system/bin/app_process64") || is_there(root / "system/bin/app_process32") ||
         is_there(root / "system/bin/app_process");
}

bool is_termux(const fs::path& root) { return is_there(root / "data/data/com.termux/files/usr"); }

std::map<std::string, std::string> parse_getprop(std::string_view text) {
  std::map<std::string, std::string> properties;
  for (const std::string& whole : split(text, '\n')) {
    const std::string line(trim(whole));
    const std::size_t middle = line.find("]: [");
    if (middle == std::string::npos || line.front() != '[' || line.back() != ']') continue;
    const std::size_t value = middle + 4;
    if (value >= line.size()) continue;
    properties[line.substr(1, middle - 1)] = line.substr(value, line.size() - 1 - value);
  }
  return properties;
}

AndroidFacts android_facts_from(const std::map<std::string, std::string>& properties) {
  const auto value = [&](const char* name) {
    const auto found = properties.find(name);
    return found == properties.end() ? std::string() : std::string(trim(found->second));
  };
  AndroidFacts facts;
  if (!value("ro.build.version.release").empty()) facts.version = value("ro.build.version.release");
  const auto level = parse_integer(value("ro.build.version.sdk"));
  if (level && *level > 0 && *level < 10000) facts.api_level = static_cast<int>(*level);
  facts.model = maker_and_model(value("ro.product.manufacturer"), value("ro.product.model"));
  const std::string maker = value("ro.soc.manufacturer");
  facts.processor = maker_and_model(maker == "QTI" ? "Qualcomm" : maker, value("ro.soc.model"));
  return facts;
}

std::optional<AndroidFacts> read_android(const SystemView& view, HiddenFacts& hidden) {
  if (!is_android(view.root)) return std::nullopt;
  const auto text = run_program(view, {"getprop"});
  const AndroidFacts facts = text ? android_facts_from(parse_getprop(*text)) : AndroidFacts{};
  if (!facts.version || !facts.model) {
    hidden.push_back({"android", text ? "getprop does not say it" : text.error().message, ""});
  }
  return facts;
}

Result<std::string> run_program(const SystemView& view, const std::vector<std::string>& arguments) {
  if (!view.run) return Error{Code::not_found, arguments.front() + " was not run", ""};
  return view.run(arguments, kProgramDeadline);
}

}  // namespace caravan::device
