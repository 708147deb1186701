// What a check of the doctor found: how bad it is, what it is, why it matters and what to do. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace caravan::doctor {

enum class Status {
  ok,
  note,     ///< nothing to do now, but good to know
  warning,  ///< it works, but worse than it could, or not for long
  problem,  ///< something does not work, or is not safe
  skipped,  ///< cannot be told here, or does not concern this device
};

/// As it is written in JSON, e.g. "problem".
std::string_view name_of(Status status);

/// `why` and `cure` are empty where there is nothing to do. Each is for people; a line of `cure` that is a
/// command can be pasted as it is.
struct Finding {
  Status status = Status::ok;
  std::string found;
  std::string why;
  std::vector<std::string> cure;
};

Finding ok(std::string found);
Finding skipped(std::string found);

/// The finding of the check with that name.
struct Diagnosis {
  std::string name;
  Finding finding;
};

/// {"name","status","found","why","cure":[...]}
Json to_json(const Diagnosis& diagnosis);

/// How many there were of each.
struct Tally {
  int ok = 0;
  int notes = 0;
  int warnings = 0;
  int problems = 0;
  int skipped = 0;

  void add(Status status);
  int all() const { return ok + notes + warnings + problems + skipped; }
};

/// "1 problem, 2 warnings, 30 ok, 4 skipped": what there is none of is left out.
std::string in_words(const Tally& tally);
Json to_json(const Tally& tally);

}  // namespace caravan::doctor
