// Starts one program with fork and exec. The part of engine/process.h that must run between the two.
#pragma once

#include <sys/types.h>

#include "base/descriptor.h"
#include "base/result.h"
#include "engine/process.h"

namespace caravan::engine {

struct Spawned {
  pid_t pid = -1;
  Descriptor output;    ///< our end of its stdout and stderr; owns nothing when it writes to our terminal
  Descriptor lifeline;  ///< our end of the lifeline: the child reads EOF when it is closed
};

/// Blocks until the program has been loaded or that has failed (a few milliseconds). Must be called on a
/// thread that lives as long as the child should: the kernel kills the child when the thread that started it
/// ends.
Result<Spawned> spawn(const ProcessSpec& spec);

}  // namespace caravan::engine
