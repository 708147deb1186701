// Starts one program with fork and exec, in a process group of its own. The part that runs between the two
// calls, and whoever watches the child afterwards, is all that the rest of Caravan needs to know about
// processes.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/result.h"

namespace caravan {

struct SpawnSpec {
  fs::path program;  ///< a path; PATH is not searched
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;  ///< added to ours; the same name replaces ours
  fs::path working_folder;                         ///< empty: ours
  /// For a child that cleans up behind itself: its descriptor 3 is a pipe on which it reads EOF when we are
  /// gone, however we went. It is not killed then: ending is up to it.
  bool lifeline = false;
  /// It outlives us, in a session of its own without a terminal; nothing tells it that we are gone.
  bool detached = false;
  bool inherit_terminal = false;  ///< it keeps our stdin, stdout and stderr, and there is no output to read
  bool separate_errors = false;   ///< stderr comes apart from stdout
  /// It starts with SIGPIPE ignored: a peer that goes away is an error to it, not its death.
  bool ignores_broken_pipes = false;
};

struct Spawned {
  pid_t pid = -1;
  Descriptor output;    ///< our end of its stdout (and stderr); owns nothing when it writes to our terminal
  Descriptor errors;    ///< our end of its stderr, when that was asked for
  Descriptor lifeline;  ///< our end of the lifeline: the child reads EOF when it is closed
};

/// Blocks until the program has been loaded or that has failed (a few milliseconds). Must be called on a
/// thread that lives as long as the child should: the kernel kills a child without a lifeline when the thread
/// that started it ends. stdin is /dev/null; no descriptor of ours but the ones above is open in it.
Result<Spawned> spawn(const SpawnSpec& spec);

/// The files called `program` in $PATH that may be run, in its order; `program` itself when it is a path.
std::vector<fs::path> find_in_path(const std::string& program);

}  // namespace caravan
