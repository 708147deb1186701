// The membership on disk: one file, written whole, never lost to a crash. Blocks.
#pragma once

#include <optional>

#include "base/files.h"
#include "link/membership.h"

namespace caravan::link {

/// `folder`/membership.json. Nothing when there is none. A file that is there and cannot be used is an error
/// with its cause and cure; it is never replaced, because it may be all that says who may come in.
Result<std::optional<Membership>> load_membership(const fs::path& folder);

/// Written to a temporary file, fsynced, renamed, mode 0600; when this returns without an error, it is on the
/// disk. Save before telling anybody of a change.
Result<void> save_membership(const fs::path& folder, const Membership& membership);

/// After leaving, or when it is wanted gone: the file is kept as membership.json.old. No file: no error.
Result<void> retire_membership(const fs::path& folder);

}  // namespace caravan::link
