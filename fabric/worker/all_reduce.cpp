#include "fabric/worker/all_reduce.h"

#include <cstring>
#include <vector>

namespace caravan::fabric::worker {
namespace {

Error wrong(const char* why) { return {Code::invalid, why, "update Caravan on the master"}; }

Result<std::string> own_values(const Region& region, const Memory& memory) {
  std::string values;
  values.reserve(region.size);
  const auto got = memory.get(region, [&values](std::string_view piece) -> Result<void> {
    values.append(piece);
    return {};
  });
  if (!got) return got.error();
  return values;
}

/// Bytes may lie anywhere: values are copied out of them.
void add(std::vector<float>& sum, std::string_view bytes) {
  std::vector<float> values(sum.size());
  std::memcpy(values.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
}

}  // namespace

Result<void> all_reduce(const Reduce& command, std::uint32_t own, Memory& memory, const Exchange& others) {
  if (!has_stage(command.members, own)) return wrong("a sum that is not this worker's");
  if (const auto there = memory.readable(command.region); !there) return there.error();
  if (command.region.size == 0) return {};
  const bool contributes = has_stage(command.contributors, own);
  std::string mine;
  if (contributes) {
    auto values = own_values(command.region, memory);
    if (!values) return values.error();
    mine = std::move(*values);
  }
  // First to all, then from all: nobody waits for values that wait for something else.
  for (std::uint32_t stage = 0; stage < kMaxStages && contributes; ++stage) {
    if (stage == own || !has_stage(command.members, stage)) continue;
    if (const auto given = others.give(stage, mine); !given) return given.error();
  }
  std::vector<float> sum(command.region.size / sizeof(float));
  bool first = true;
  for (std::uint32_t stage = 0; stage < kMaxStages; ++stage) {
    if (!has_stage(command.contributors, stage)) continue;
    std::string taken;
    if (stage != own) {
      auto values = others.take(stage, command.region.size);
      if (!values) return values.error();
      taken = std::move(*values);
    }
    const std::string& values = stage == own ? mine : taken;
    // The first values are taken over: a sum with nothing would lose the sign of a zero.
    if (first)
      std::memcpy(sum.data(), values.data(), values.size());
    else
      add(sum, values);
    first = false;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(sum.data()), command.region.size);
  return memory.set(command.region.buffer, command.region.offset, bytes);
}

}  // namespace caravan::fabric::worker
