#include "model/stamps.h"

#include <sys/stat.h>

#include <fmt/format.h>

#include "base/json.h"

namespace caravan::model {
namespace {

constexpr std::size_t kMaxFile = 4U << 20U;
constexpr std::uint64_t kVersion = 1;

/// Changes whenever the content does, short of somebody's effort to hide it. "" when there is no file.
std::string fingerprint(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "";
  return fmt::format("{} {}.{:09}", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

std::string key_of(const fs::path& path) {
  std::error_code failure;
  const fs::path real = fs::weakly_canonical(path, failure);
  return (failure ? path : real).string();
}

/// path → {"fingerprint", "sha256"}; empty when the file is absent, damaged or of a later version.
Json read_all(const fs::path& file) {
  const auto text = read_file(file, Bytes{kMaxFile});
  if (!text) return Json::object();
  const auto json = parse_json(*text, kMaxFile);
  if (!json) return Json::object();
  Fields fields(*json, "stamps");
  const bool usable = fields.whole_or("version", 0) == kVersion;
  const Json* files = fields.object_or_none("files");
  return usable && fields.ok() && files != nullptr ? *files : Json::object();
}

Result<void> write_all(const fs::path& file, const Json& files) {
  if (auto made = make_private_folder(file.parent_path()); !made) return made;
  return write_file_atomically(file, dump_json({{"version", kVersion}, {"files", files}}));
}

std::optional<std::string> look_up(const fs::path& file, const fs::path& path, bool must_be_unchanged) {
  const Json all = read_all(file);
  const auto found = all.find(key_of(path));
  if (found == all.end()) return std::nullopt;
  Fields fields(*found, "stamp");
  const std::string seen = fields.text("fingerprint");
  const std::string sha256 = fields.text("sha256");
  if (!fields.ok() || (must_be_unchanged && seen != fingerprint(path))) return std::nullopt;
  return sha256;
}

}  // namespace

std::optional<std::string> Stamps::hash_of(const fs::path& path) const { return look_up(file_, path, true); }

std::optional<std::string> Stamps::last_hash_of(const fs::path& path) const {
  return look_up(file_, path, false);
}

Result<void> Stamps::remember(const fs::path& path, const std::string& sha256) const {
  Json all = read_all(file_);
  all[key_of(path)] = {{"fingerprint", fingerprint(path)}, {"sha256", sha256}};
  return write_all(file_, all);
}

void Stamps::forget(const fs::path& path) const {
  Json all = read_all(file_);
  if (all.erase(key_of(path)) > 0) (void)write_all(file_, all);  // one stamp too many does no harm
}

}  // namespace caravan::model
