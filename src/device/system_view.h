// What the readers of this folder see of the system: files below a root folder, programs that may be run and
// two system calls. A test gives them a fixture instead.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"

namespace caravan::device {

/// An address of this device that other devices could reach; loopback and link-local ones are left out.
struct Address {
  std::string interface;  ///< e.g. "wlan0"
  std::string address;    ///< without a prefix length
  bool ipv6 = false;
};

/// Runs a program to its end and gives back what it printed. Blocks for at most `deadline`. The program is a
/// name, which is searched for. Code::not_found: it is not installed; Code::unavailable: it did not end in
/// time; anything else: it failed.
using RunProgram = std::function<Result<std::string>(const std::vector<std::string>& arguments,
                                                     std::chrono::milliseconds deadline)>;

struct SystemView {
  fs::path root = "/";
  std::string machine;  ///< as `uname -m` prints it, e.g. "aarch64"
  fs::path storage;     ///< the folder whose free space matters: where models are kept
  RunProgram run;       ///< empty: no program is run
  std::function<Result<Bytes>(const fs::path& folder)> free_space;
  std::function<Result<std::vector<Address>>()> addresses;
};

/// The system that this program runs on.
SystemView this_system(fs::path storage, RunProgram run);

}  // namespace caravan::device
