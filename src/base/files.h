// Files and folders: whole reads with a limit, atomic writes, temporary folders, the folders that Caravan
// uses. All of it blocks.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace caravan {

namespace fs = std::filesystem;

/// Reads at most `limit` bytes; a longer file is Code::exhausted, a missing one Code::not_found.
Result<std::string> read_file(const fs::path& path, Bytes limit);

/// Writes to a temporary file beside `path`, fsyncs it, renames it into place with `mode`.
Result<void> write_file_atomically(const fs::path& path, std::string_view content, unsigned mode = 0600);

/// Makes the folder and those above it that are missing; what is new can be read by this user only.
Result<void> make_private_folder(const fs::path& path);

/// Free space for this user on the file system that holds `path` (or its nearest existing parent).
Result<Bytes> free_space(const fs::path& path);

/// The value of an environment variable; empty counts as unset.
std::optional<std::string> environment(const char* name);

/// $HOME, or the home folder of the user database.
fs::path home_folder();
/// $CARAVAN_HOME or ~/.caravan: models, state, identity.
fs::path caravan_home();
/// ${XDG_CACHE_HOME:-~/.cache}/caravan: what can be made again.
fs::path cache_folder();
/// "~/x" for a path below the home folder, else the path: for people's eyes.
std::string for_people(const fs::path& path);

/// A folder with a unique name below $TMPDIR or the system's temporary folder, removed with all it holds on
/// destruction.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make(std::string_view prefix);
  /// Only the name, which nobody can guess: whoever needs the folder makes it (make_private_folder), and
  /// cleans up when this process was killed before it could.
  static TemporaryFolder promise(std::string_view prefix);
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();

  const fs::path& path() const { return path_; }
  /// Leaves the folder where it is.
  fs::path release();

 private:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

/// "message: strerror(errno)" with a code that fits errno (ENOSPC is exhausted, ENOENT not_found and so on).
Error errno_error(std::string_view message, int error_number);

}  // namespace caravan
