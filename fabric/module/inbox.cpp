#include "fabric/module/inbox.h"

#include <algorithm>
#include <utility>

namespace caravan::fabric {

std::uint32_t Inbox::expect(std::span<char> to) {
  reads_.emplace(++last_, Read{to});
  return last_;
}

std::uint32_t Inbox::expect_other() {
  others_.insert(++last_);
  return last_;
}

Result<void> Inbox::take(const Data& data) {
  const auto found = reads_.find(data.request);
  if (found == reads_.end()) return malformed(Type::data, "nobody asked for it");
  auto& read = found->second;
  if (data.offset != read.received) return malformed(Type::data, "it is out of order");
  if (data.data.empty() || data.data.size() > read.to.size() - read.received)
    return malformed(Type::data, "it has another size than what was asked for");
  std::ranges::copy(data.data, read.to.begin() + static_cast<std::ptrdiff_t>(read.received));
  read.received += data.data.size();
  if (read.received == read.to.size()) reads_.erase(found);
  return {};
}

Result<void> Inbox::take(const Pong& pong) {
  if (others_.erase(pong.request) == 0) return malformed(Type::pong, "nobody asked for it");
  return {};
}

Result<void> Inbox::take(const Missing& missing) {
  if (others_.erase(missing.request) == 0) return malformed(Type::missing, "nobody asked for it");
  if (missing.weights.size() > kMaxWeights - missing_.size())
    return malformed(Type::missing, "it has more weights than there can be");
  missing_.insert(missing_.end(), missing.weights.begin(), missing.weights.end());
  return {};
}

Result<void> Inbox::take(const Timeline& timeline) {
  if (others_.erase(timeline.request) == 0) return malformed(Type::timeline, "nobody asked for it");
  return {};
}

std::vector<MissingWeight> Inbox::missing() { return std::exchange(missing_, {}); }

void Inbox::give_up() {
  for (auto& [request, read] : reads_)
    std::fill(read.to.begin() + static_cast<std::ptrdiff_t>(read.received), read.to.end(), '\0');
  reads_.clear();
  others_.clear();
}

}  // namespace caravan::fabric
