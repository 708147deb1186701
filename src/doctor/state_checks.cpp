#include "doctor/state_checks.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "device/source.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{8};
constexpr const char* kKey = "device.key";
constexpr unsigned kOthers = S_IRWXG | S_IRWXO;
constexpr unsigned kOthersWrite = S_IWGRP | S_IWOTH;
constexpr std::chrono::hours kTolerance{24};  // time zones that were set wrong, and slow network time
/// This version was not written before 2026-01-01, nor will it be in use in 2046.
constexpr WallTime kEarliest{std::chrono::seconds(1'767'225'600)};
constexpr WallTime kLatest{std::chrono::seconds(2'398'377'600)};

std::optional<PrivatePath> look_at(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return PrivatePath{path, info.st_mode & 0777U, info.st_uid == ::geteuid()};
}

std::string as_text(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "an impossible date";
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min);
}

std::optional<WallTime> written_at(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return WallTime(std::chrono::seconds(info.st_mtime));
}

Finding wrong_clock(std::string found) {
  return {
      Status::problem,
      std::move(found),
      "certificates look invalid to it or to the others, and what was measured seems too old",
      {"switch on automatic date and time in the system's settings", "or: sudo timedatectl set-ntp true"}};
}

}  // namespace

Finding identity_private(const SecretState& state) {
  for (const PrivatePath& key : state.keys) {
    const std::string where = for_people(key.path);
    if (!key.ours) {
      return {Status::problem,
              where + " belongs to another user",
              "Caravan cannot use a key that is not its own",
              {fmt::format("sudo chown $(id -un) {}", where)}};
    }
    if ((key.mode & kOthers) != 0) {
      return {Status::problem,
              fmt::format("{} can be used by others (mode {:04o})", where, key.mode),
              "whoever has this key is this device: he can join your cluster and read what it computes",
              {fmt::format("chmod 600 {}", where)}};
    }
  }
  if (state.folder && (state.folder->mode & kOthersWrite) != 0) {
    const std::string where = for_people(state.home);
    return {Status::problem,
            fmt::format("{} can be written by others (mode {:04o})", where, state.folder->mode),
            "they could put their own key or model in the place of yours",
            {fmt::format("chmod go-w {}", where)}};
  }
  return state.keys.empty() ? skipped("this device has no key yet") : ok(for_people(state.keys.front().path));
}

Finding clock_right(const ClockState& state) {
  const std::string now = as_text(state.now);
  if (state.now < kEarliest)
    return wrong_clock(fmt::format("the clock says {}: before this Caravan was written", now));
  if (state.now > kLatest) return wrong_clock(fmt::format("the clock says {}", now));
  if (state.now + kTolerance < state.newest) {
    return wrong_clock(fmt::format("the clock says {}, but {} was written {}", now,
                                   for_people(state.newest_file), as_text(state.newest)));
  }
  return ok(now);
}

SecretState read_secret_state(const fs::path& home) {
  SecretState state{home, {}, look_at(home)};
  const auto add = [&](const fs::path& path) {
    if (auto key = look_at(path)) state.keys.push_back(std::move(*key));
  };
  add(home / kKey);
  if (const auto names = device::names_in(home, "")) {
    for (const std::string& name : *names) add(home / name / kKey);
  }
  return state;
}

ClockState read_clock_state(const fs::path& home, const fs::path& program) {
  ClockState state;
  state.now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto consider = [&](const fs::path& path) {
    const auto time = written_at(path);
    if (!time || *time < state.newest) return;
    state.newest = *time;
    state.newest_file = path;
  };
  consider(program);
  if (const auto names = device::names_in(home, "")) {
    for (const std::string& name : *names) consider(home / name);
  }
  return state;
}

Step secret_step(fs::path home) {
  return make_step<SecretState>({{{"identity", "only this user can use the device's key"}, identity_private}},
                                kLimit, [home = std::move(home)] { return read_secret_state(home); });
}

Step clock_step(fs::path home) {
  return make_step<ClockState>({{{"clock", "date and time"}, clock_right}}, kLimit,
                               [home = std::move(home)] { return read_clock_state(home, "/proc/self/exe"); });
}

}  // namespace caravan::doctor
