#include "doctor/finding.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::doctor {

std::string_view name_of(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::note:
      return "note";
    case Status::warning:
      return "warning";
    case Status::problem:
      return "problem";
    case Status::skipped:
      break;
  }
  return "skipped";
}

Finding ok(std::string found) { return {Status::ok, std::move(found), "", {}}; }
Finding skipped(std::string found) { return {Status::skipped, std::move(found), "", {}}; }

Json to_json(const Diagnosis& diagnosis) {
  const Finding& finding = diagnosis.finding;
  return {{"name", diagnosis.name},
          {"status", name_of(finding.status)},
          {"found", finding.found},
          {"why", finding.why},
          {"cure", finding.cure}};
}

void Tally::add(Status status) {
  switch (status) {
    case Status::ok:
      ++ok;
      break;
    case Status::note:
      ++notes;
      break;
    case Status::warning:
      ++warnings;
      break;
    case Status::problem:
      ++problems;
      break;
    case Status::skipped:
      ++skipped;
      break;
  }
}

std::string in_words(const Tally& tally) {
  std::vector<std::string> parts;
  const auto counted = [&](int count, std::string_view one, std::string_view many) {
    if (count > 0) parts.push_back(fmt::format("{} {}", count, count == 1 ? one : many));
  };
  counted(tally.problems, "problem", "problems");
  counted(tally.warnings, "warning", "warnings");
  counted(tally.notes, "note", "notes");
  counted(tally.ok, "ok", "ok");
  counted(tally.skipped, "skipped", "skipped");
  return join(parts, ", ");
}

Json to_json(const Tally& tally) {
  return {{"problems", tally.problems},
          {"warnings", tally.warnings},
          {"notes", tally.notes},
          {"ok", tally.ok},
          {"skipped", tally.skipped}};
}

}  // namespace caravan::doctor
