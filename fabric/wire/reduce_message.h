// The command that makes workers add up what each of them has, for tensors that are split between them.
// docs/fabric-protocol.md.
#pragma once

#include <cstdint>

#include "fabric/wire/messages.h"

namespace caravan::fabric {

/// A set of stages: bit i is stage i.
using StageSet = std::uint64_t;
static_assert(kMaxStages <= 64);

constexpr bool has_stage(StageSet set, std::uint32_t stage) {
  return stage < kMaxStages && ((set >> stage) & 1U) != 0;
}

struct Reduce {
  static constexpr Type kType = Type::reduce;
  std::uint64_t tag = 0;      ///< of the hand-offs that this makes; the same at all members
  StageSet members = 0;       ///< that get the sum, the receiver of this among them
  StageSet contributors = 0;  ///< whose values are added, in rising order; those of the others count as zeros
  Region region;              ///< f32 values; its size is the same at all members
  bool operator==(const Reduce&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.tag);
    io.number(m.members);
    io.must(m.members != 0, "a sum for nobody");
    io.number(m.contributors);
    io.must((m.contributors & ~m.members) == 0, "a sum of others than its members");
    Region::fields(m.region, io);
    io.must(m.region.size % sizeof(float) == 0, "a sum of part of a value");
  }
};

}  // namespace caravan::fabric
