// REDUCE: adds up what several workers have, each of them on its own, so that nobody has to wait for one that
// does it for all.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "fabric/wire/reduce_message.h"
#include "fabric/worker/memory.h"

namespace caravan::fabric::worker {

/// What an all-reduce needs of the world. Both block, and end with an error when the master is gone.
struct Exchange {
  /// This worker's values to another member.
  std::function<Result<void>(std::uint32_t stage, std::string_view values)> give;
  /// The values of another member; what has another size is an error.
  std::function<Result<std::string>(std::uint32_t stage, std::uint64_t size)> take;
};

/// Carries out `command` as the member `own`. All members add in the order of their stages, so that all of
/// them have the same bits.
Result<void> all_reduce(const Reduce& command, std::uint32_t own, Memory& memory, const Exchange& others);

}  // namespace caravan::fabric::worker
