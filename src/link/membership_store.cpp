#include "link/membership_store.h"

#include <system_error>

#include <fmt/format.h>

namespace caravan::link {
namespace {

fs::path file_in(const fs::path& folder) { return folder / "membership.json"; }

}  // namespace

Result<std::optional<Membership>> load_membership(const fs::path& folder) {
  const fs::path path = file_in(folder);
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (status.type() == fs::file_type::not_found) return std::optional<Membership>();
  if (status.type() != fs::file_type::regular) {
    return Error{Code::invalid, fmt::format("{} is not a file", path.string()), "move it out of the way"};
  }
  const auto text = read_file(path, Bytes{kMaxDocumentBytes});
  if (!text) return text.error();
  auto membership = Membership::parse(*text);
  if (membership) return std::optional(*std::move(membership));
  Error error = with_context(membership.error(), path.string());
  if (error.hint.empty()) {
    error.hint =
        "restore the file from a copy; or remove this device on an owner, delete the file and join again";
  }
  return error;
}

Result<void> save_membership(const fs::path& folder, const Membership& membership) {
  if (auto made = make_private_folder(folder); !made) return made;
  return write_file_atomically(file_in(folder), membership.document(), 0600);
}

Result<void> retire_membership(const fs::path& folder) {
  const fs::path path = file_in(folder);
  std::error_code failure;
  fs::rename(path, path.string() + ".old", failure);
  if (failure && failure != std::errc::no_such_file_or_directory) {
    return errno_error(fmt::format("cannot move {} away", path.string()), failure.value());
  }
  return {};
}

}  // namespace caravan::link
