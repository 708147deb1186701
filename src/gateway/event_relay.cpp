#include "gateway/event_relay.h"

namespace caravan::gateway {

std::string EventRelay::feed(std::string_view bytes) {
  const auto payloads = decoder_.feed(bytes);
  if (!payloads.empty()) complete_ = payloads.back() == "[DONE]" || payloads.back().starts_with("{\"error\"");
  pending_ += bytes;
  if (failed()) return {};
  std::string whole = pending_.substr(0, pending_.size() - decoder_.unfinished_bytes());
  pending_.erase(0, whole.size());
  return whole;
}

}  // namespace caravan::gateway
