// WEIGHT, WEIGHTS_END and STREAM: fills places in buffers from the worker's own store, and with what the
// master streams.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fabric/wire/weight_messages.h"
#include "fabric/worker/memory.h"
#include "fabric/worker/weights.h"

namespace caravan::fabric::worker {

/// Used by one thread.
class WeightLoader {
 public:
  WeightLoader(Memory& memory, WeightSource& source) : memory_(memory), source_(source) {}

  /// Fills the place when the store has the content, else remembers it as missing.
  Result<void> load(const Weight& weight);
  /// What is missing of the WEIGHTs since the last time.
  Missing missing(std::uint32_t request);
  /// The next bytes of a missing one. The last ones are the moment of truth: what has another hash is thrown
  /// away.
  Result<void> stream(const Stream& chunk);
  /// The buffer goes, and with it the wish for what is missing in it.
  void forget(std::uint32_t buffer);
  /// True when nothing is missing.
  bool complete() const { return missing_.empty(); }

 private:
  struct Awaited {
    Weight weight;
    std::string bytes;  ///< that are here
  };
  Result<void> put(const Weight& weight, std::string_view bytes);

  Memory& memory_;
  WeightSource& source_;
  std::map<std::uint32_t, Awaited> missing_;
  std::vector<std::uint32_t> unreported_;
};

}  // namespace caravan::fabric::worker
