// Thousands of seeded faults between a master and two workers in one process: fabric/soak. Ends with 1 when
// anything is wrong but that a run is said to have failed.
#include <unistd.h>

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/files.h"
#include "fabric/soak/soak.h"

namespace {

/// VmRSS in KiB (proc(5), /proc/PID/status); 0 where there is no such file.
unsigned long resident() {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  unsigned long found = 0;
  char line[256];
  while (file != nullptr && std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::sscanf(line, "VmRSS: %lu", &found) == 1) break;
  }
  if (file != nullptr) std::fclose(file);
  return found;
}

void print(const caravan::fabric::soak::Tally& tally) {
  std::string kinds;
  for (const auto& [kind, count] : tally.by_kind) kinds += fmt::format(" {}={}", kind, count);
  fmt::print("cases={} struck={} failed={} slow={} wrong={} longest_ms={} release_ms={} resident_kib={}{}\n",
             tally.cases, tally.struck, tally.failed, tally.slow, tally.wrong.size(), tally.longest.count(),
             tally.longest_release.count(), resident(), kinds);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  caravan::fabric::soak::Settings settings;
  CLI::App app("Seeded faults between a master and two workers in one process");
  app.footer("Example:\n  lab_soak_fabric --cases 10000 --lanes 8 2>failures.log");
  app.add_option("--cases", settings.cases, "how many");
  app.add_option("--seed", settings.first_seed, "of the first case; the next one has one more");
  app.add_option("--lanes", settings.lanes, "pairs of workers at a time");
  CLI11_PARSE(app, argc, argv);
  const auto folder = caravan::TemporaryFolder::make("caravan-soak");
  if (!folder) {
    fmt::print(stderr, "error: {}\n", folder.error().message);
    return 1;
  }
  settings.folder = folder->path();
  const auto tally = caravan::fabric::soak::soak(settings, print);
  print(tally);
  for (const auto& late : tally.late) fmt::print("late: {}\n", late);
  for (const auto& wrong : tally.wrong) fmt::print("wrong: {}\n", wrong);
  return tally.wrong.empty() && tally.cases == settings.cases ? 0 : 1;
}
