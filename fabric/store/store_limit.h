// How large a store may be when nobody says.
#pragma once

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"

namespace caravan::fabric {

/// A quarter of what is free on the file system of `folder` and of what the store there takes: the same
/// before it fills and after. Blocks: reads the folder's lists. The folder may be missing.
Result<Bytes> fair_share(const fs::path& folder);

}  // namespace caravan::fabric
