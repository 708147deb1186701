#include "link/arrival_limit.h"

#include <algorithm>

namespace caravan::link {

ArrivalLimit::ArrivalLimit(TimePoint now, ArrivalRates rates)
    : rates_(rates), all_{rates.all_burst, now}, others_{rates.each_burst, now}, swept_(now) {}

bool ArrivalLimit::take(Bucket& bucket, double rate, double burst, TimePoint now) {
  const double seconds = std::max(0.0, std::chrono::duration<double>(now - bucket.filled).count());
  bucket.tokens = std::min(burst, bucket.tokens + seconds * rate);
  bucket.filled = std::max(bucket.filled, now);
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

ArrivalLimit::Bucket& ArrivalLimit::bucket_of(const std::string& host, TimePoint now) {
  const auto known = hosts_.find(host);
  if (known != hosts_.end()) return known->second;
  const std::chrono::duration<double> refill(rates_.each_burst / rates_.each);
  if (hosts_.size() >= rates_.hosts &&
      now - swept_ > refill) {  // those that are full again are as if unknown
    std::erase_if(hosts_, [&](const auto& entry) { return now - entry.second.filled > refill; });
    swept_ = now;
  }
  if (hosts_.size() >= rates_.hosts) return others_;
  return hosts_.emplace(host, Bucket{rates_.each_burst, now}).first->second;
}

bool ArrivalLimit::admit(const std::string& host, TimePoint now) {
  // its own first: a host that sends too much must not use up what all have together
  return take(bucket_of(host, now), rates_.each, rates_.each_burst, now) &&
         take(all_, rates_.all, rates_.all_burst, now);
}

}  // namespace caravan::link
