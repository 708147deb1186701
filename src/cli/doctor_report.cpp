#include "cli/doctor_report.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace caravan::cli {
namespace {

constexpr std::size_t kNameColumn = 9;
constexpr std::size_t kNameWidth = 21;

}  // namespace

std::string text_of(const doctor::Diagnosis& diagnosis) {
  const doctor::Finding& finding = diagnosis.finding;
  std::string text = fmt::format("{:<{}}{:<{}}{}\n", name_of(finding.status), kNameColumn, diagnosis.name,
                                 kNameWidth, printable(finding.found));
  const auto add = [&](std::string_view label, const std::string& line) {
    text += fmt::format("{:{}}{:<6}{}\n", "", kNameColumn, label, printable(line));
  };
  if (!finding.why.empty()) add("why", finding.why);
  for (std::size_t i = 0; i < finding.cure.size(); ++i) add(i == 0 ? "cure" : "", finding.cure[i]);
  return text;
}

std::string summary_of(const doctor::Tally& tally, std::chrono::duration<double> took) {
  return fmt::format("{} {} in {}: {}\n", tally.all(), tally.all() == 1 ? "check" : "checks",
                     format_duration(took), in_words(tally));
}

std::string list_of(const std::vector<doctor::CheckInfo>& checks) {
  std::string text;
  for (const doctor::CheckInfo& check : checks)
    text += fmt::format("{:<{}}{}\n", check.name, kNameWidth, check.what);
  return text;
}

}  // namespace caravan::cli
