#include "doctor/storage_checks.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/descriptor.h"
#include "device/source.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{8};
constexpr Bytes kLeastForModels = mebibytes(512);
constexpr Bytes kGoodForModels = mebibytes(4096);
constexpr Bytes kLeastForWork = mebibytes(64);
constexpr Bytes kGoodForWork = mebibytes(512);

/// What a folder on such a file system cannot do for us.
struct Unsuitable {
  std::string_view type;
  Status status;
  std::string_view why;
};
constexpr std::string_view kNoPermissions =
    "it keeps no permissions: the device's key could be read by every app, and programs do not run there";
constexpr std::string_view kRemote =
    "it is on another computer: models load slowly, and stall when that is away";
constexpr std::array<Unsuitable, 16> kUnsuitable{{
    {"vfat", Status::problem, kNoPermissions},
    {"msdos", Status::problem, kNoPermissions},
    {"exfat", Status::problem, kNoPermissions},
    {"sdcardfs", Status::problem, kNoPermissions},
    {"esdfs", Status::problem, kNoPermissions},
    {"sdfat", Status::problem, kNoPermissions},
    {"texfat", Status::problem, kNoPermissions},
    {"ntfs", Status::problem, kNoPermissions},
    {"ntfs3", Status::problem, kNoPermissions},
    {"fuseblk", Status::problem, kNoPermissions},
    {"nfs", Status::warning, kRemote},
    {"nfs4", Status::warning, kRemote},
    {"cifs", Status::warning, kRemote},
    {"smb3", Status::warning, kRemote},
    {"tmpfs", Status::warning,
     "it is in memory: models take what they need twice, and are gone after a restart"},
    {"ramfs", Status::warning,
     "it is in memory: models take what they need twice, and are gone after a restart"},
}};
/// Android's shared storage, under its names; it is a FUSE file system there, and so is much else elsewhere.
constexpr std::array<std::string_view, 3> kSharedStorage{"/sdcard", "/storage", "/mnt/media_rw"};

std::string on(const Place& place) {
  return fmt::format("{} free for {}", format_bytes(*place.free), for_people(place.folder));
}

std::vector<std::string> make_room(const Place& place) {
  return {fmt::format("df -h {}    # then delete what is not needed", for_people(place.folder)),
          "caravan models list; caravan models rm NAME"};
}

fs::path nearest_existing(fs::path folder) {
  std::error_code failure;
  while (!fs::exists(folder, failure) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

bool is_shared_storage(const fs::path& folder) {
  for (const std::string_view top : kSharedStorage) {
    const std::string text = folder.string();
    if (text == top || text.rfind(std::string(top) + "/", 0) == 0) return true;
  }
  return false;
}

const Unsuitable* unsuitable(const Place& place) {
  static constexpr Unsuitable kShared{"Android's shared storage", Status::problem, kNoPermissions};
  if (is_shared_storage(place.folder)) return &kShared;
  if (!place.mount) return nullptr;
  for (const Unsuitable& one : kUnsuitable) {
    if (one.type == place.mount->type) return &one;
  }
  return nullptr;
}

Place read_place(const fs::path& folder, const std::vector<device::Mount>& mounts) {
  std::error_code failure;
  const fs::path real = fs::weakly_canonical(folder, failure);  // links lead elsewhere
  return {folder, free_space(folder), try_to_write(folder), mount_of(mounts, failure ? folder : real)};
}

}  // namespace

Finding storage_for_models(const StorageState& state) {
  if (!state.home.free) return skipped(state.home.free.error().message);
  if (*state.home.free >= kGoodForModels) return ok(on(state.home));
  const bool too_little = *state.home.free < kLeastForModels;
  return {too_little ? Status::problem : Status::warning, on(state.home),
          too_little ? "not even a small model fits" : "most models do not fit: they have 1 to 10 GB",
          make_room(state.home)};
}

Finding storage_for_work(const StorageState& state) {
  const Place* least = nullptr;
  for (const Place* place : {&state.cache, &state.temporary}) {
    if (!place->free) continue;
    if (least == nullptr || *place->free < *least->free) least = place;
  }
  if (least == nullptr) return skipped("the free space is not known");
  if (*least->free >= kGoodForWork) return ok(on(*least));
  return {*least->free < kLeastForWork ? Status::problem : Status::warning, on(*least),
          "the engine and downloads need room for temporary files", make_room(*least)};
}

Finding home_writable(const StorageState& state) {
  if (state.home.writable) return ok(for_people(state.home.folder));
  return {Status::problem,
          fmt::format("{}: {}", for_people(state.home.folder), state.home.writable.error().message),
          "Caravan keeps its key, models and what it has measured there",
          {fmt::format("chown -R $(id -un) {0} && chmod -R u+rwX {0}", for_people(state.home.folder)),
           "or choose another folder: export CARAVAN_HOME=FOLDER"}};
}

Finding home_filesystem(const StorageState& state) {
  const Unsuitable* bad = unsuitable(state.home);
  const std::string where = for_people(state.home.folder);
  if (bad != nullptr) {
    return {
        bad->status,
        fmt::format("{} is on {}", where, bad->type),
        std::string(bad->why),
        {"export CARAVAN_HOME=$HOME/.caravan    # in Termux's own folder, or another on the device's disk"}};
  }
  if (!state.home.mount) return skipped("the system does not tell");
  return ok(fmt::format("{} is on {}", where, state.home.mount->type));
}

Finding programs_may_run(const StorageState& state) {
  if (!state.cache.mount) return skipped("the system does not tell");
  const std::string where = for_people(state.cache.folder);
  if (!state.cache.mount->has_option("noexec")) return ok(where);
  return {Status::problem,
          fmt::format("{} is on {}, which is mounted noexec", where, state.cache.mount->point),
          "the engine that `./run build` puts there cannot be started",
          {"export XDG_CACHE_HOME=FOLDER    # on another file system, then: ./run build",
           fmt::format("or: sudo mount -o remount,exec {}", state.cache.mount->point)}};
}

Result<void> try_to_write(const fs::path& folder) {
  const fs::path existing = nearest_existing(folder);
  std::error_code failure;
  if (!fs::is_directory(existing, failure))
    return Error{Code::invalid, fmt::format("{} is no folder", existing.string()), ""};
  std::string pattern = (existing / ".caravan-doctor-XXXXXX").string();
  const Descriptor file(::mkstemp(pattern.data()));
  if (file.get() < 0) return errno_error("no file can be made there", errno);
  ::unlink(pattern.c_str());
  return {};
}

StorageState read_storage_state(const fs::path& root, const StorageFolders& folders) {
  const auto text = device::read_text(root / "proc/self/mountinfo");
  const auto mounts = text ? device::parse_mounts(*text) : std::vector<device::Mount>();
  return {read_place(folders.home, mounts), read_place(folders.cache, mounts),
          read_place(folders.temporary, mounts)};
}

Step storage_step(fs::path root, StorageFolders folders) {
  return make_step<StorageState>(
      {{{"storage", "room for models"}, storage_for_models},
       {{"storage-work", "room for the engine and temporary files"}, storage_for_work},
       {{"home-writable", "Caravan's folder can be written"}, home_writable},
       {{"home-filesystem", "it is on a file system that suits"}, home_filesystem},
       {{"programs-may-run", "the engine's folder is not mounted noexec"}, programs_may_run}},
      kLimit,
      [root = std::move(root), folders = std::move(folders)] { return read_storage_state(root, folders); });
}

}  // namespace caravan::doctor
