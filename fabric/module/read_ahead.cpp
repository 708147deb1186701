#include "fabric/module/read_ahead.h"

namespace caravan::fabric {
namespace {

constexpr std::size_t kMaxNames = 256;  // a model has a handful

}  // namespace

void ReadAhead::learn(std::string_view name) {
  if (!name.empty() && names_.size() < kMaxNames) names_.emplace(name);
}

char* ReadAhead::prepare(const Region& region) {
  complete_ = false;
  results_.push_back({region, std::string(region.size, '\0')});
  return results_.back().data.data();
}

const char* ReadAhead::find(const Region& region) const {
  if (!complete_) return nullptr;
  for (const auto& [have, data] : results_) {
    const bool inside = have.buffer == region.buffer && region.offset >= have.offset &&
                        region.size <= have.size && region.offset - have.offset <= have.size - region.size;
    if (inside) return data.data() + (region.offset - have.offset);
  }
  return nullptr;
}

void ReadAhead::clear() {
  results_.clear();
  complete_ = false;
}

}  // namespace caravan::fabric
