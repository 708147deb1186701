#include "doctor/limit_checks.h"

#include <sys/resource.h>

#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{5};
/// A node holds some ten sockets for each device and client, llama-server two for each client.
constexpr std::uint64_t kGoodFiles = 512;
constexpr std::uint64_t kLeastFiles = 128;
constexpr std::uint64_t kGoodProcesses = 256;
/// Models are mapped into memory whole, and are files of some GB.
constexpr Bytes kGoodSize = mebibytes(16384);

/// Of the soft limit; nothing when it is none or not told. `resource` has different types in C libraries.
template <typename Resource>
std::optional<std::uint64_t> limit_of(Resource resource, rlim_t rlimit::*which) {
  rlimit limits{};
  if (::getrlimit(resource, &limits) != 0 || limits.*which == RLIM_INFINITY) return std::nullopt;
  return static_cast<std::uint64_t>(limits.*which);
}

std::optional<Bytes> bytes(std::optional<std::uint64_t> count) {
  return count ? std::optional(Bytes{*count}) : std::nullopt;
}

}  // namespace

Finding open_files(const LimitState& state) {
  if (!state.open_files) return ok("no limit");
  const std::string text = fmt::format("{} open files at once", *state.open_files);
  if (*state.open_files >= kGoodFiles) return ok(text);
  const bool may_raise = !state.open_files_hard || *state.open_files_hard >= kGoodFiles;
  return {
      *state.open_files < kLeastFiles ? Status::problem : Status::warning,
      text,
      "each device and each client takes some: with too few, connections are refused",
      {may_raise
           ? "ulimit -n 4096    # in the shell that starts Caravan; for good: at the end of ~/.profile"
           : "raise the hard limit: \"* hard nofile 4096\" in /etc/security/limits.conf, then log in again"}};
}

Finding process_limit(const LimitState& state) {
  if (!state.processes) return ok("no limit");
  const std::string text = fmt::format("{} processes and threads of this user", *state.processes);
  if (*state.processes >= kGoodProcesses) return ok(text);
  return {Status::warning,
          text,
          "the engine starts a thread for each core; at the limit it ends",
          {"ulimit -u 4096    # in the shell that starts Caravan"}};
}

Finding size_limits(const LimitState& state) {
  std::vector<std::string> low;
  std::vector<std::string> cure;
  if (state.address_space && *state.address_space < kGoodSize) {
    low.push_back("address space " + format_bytes(*state.address_space));
    cure.emplace_back("ulimit -v unlimited    # in the shell that starts Caravan");
  }
  if (state.file_size && *state.file_size < kGoodSize) {
    low.push_back("size of a file " + format_bytes(*state.file_size));
    cure.emplace_back("ulimit -f unlimited    # in the shell that starts Caravan");
  }
  if (low.empty()) return ok("no limit that matters");
  return {Status::warning, "limited: " + join(low, ", "), "larger models cannot be loaded or downloaded",
          cure};
}

LimitState read_limit_state() {
  return {.open_files = limit_of(RLIMIT_NOFILE, &rlimit::rlim_cur),
          .open_files_hard = limit_of(RLIMIT_NOFILE, &rlimit::rlim_max),
          .processes = limit_of(RLIMIT_NPROC, &rlimit::rlim_cur),
          .address_space = bytes(limit_of(RLIMIT_AS, &rlimit::rlim_cur)),
          .file_size = bytes(limit_of(RLIMIT_FSIZE, &rlimit::rlim_cur))};
}

Step limit_step() {
  return make_step<LimitState>({{{"open-files", "how many files and sockets may be open"}, open_files},
                                {{"processes", "how many processes and threads may run"}, process_limit},
                                {{"size-limits", "how large files and memory may be"}, size_limits}},
                               kLimit, [] { return read_limit_state(); });
}

}  // namespace caravan::doctor
