#include "app/traffic_rates.h"

namespace caravan::app {
namespace {

double rate(Bytes before, Bytes now, std::chrono::duration<double> time) {
  return static_cast<double>(now.count - before.count) / time.count();
}

}  // namespace

void TrafficRates::add(const std::string& master, const std::vector<cluster::Traffic>& totals,
                       TimePoint now) {
  std::map<std::string, Count> next;
  auto& counts = masters_[master];
  for (const cluster::Traffic& total : totals) {
    const auto found = counts.find(total.device);
    const bool goes_on = found != counts.end() && found->second.total.sent <= total.sent &&
                         found->second.total.received <= total.received;
    Count count = goes_on ? found->second : Count{now, total, {}};
    if (const std::chrono::duration<double> time = now - count.since; time >= kLeastTime) {
      count.rate = {rate(count.total.sent, total.sent, time),
                    rate(count.total.received, total.received, time)};
      count.since = now;
      count.total = total;
    }
    next[total.device] = std::move(count);
  }
  counts = std::move(next);
}

TrafficRate TrafficRates::of(const std::string& worker) const {
  TrafficRate sum;
  for (const auto& [master, counts] : masters_) {
    const auto found = counts.find(worker);
    if (found == counts.end()) continue;
    sum.to_worker += found->second.rate.to_worker;
    sum.from_worker += found->second.rate.from_worker;
  }
  return sum;
}

}  // namespace caravan::app
