// Bytes a second that cross between masters and their workers, from the totals that masters report. Pure.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/units.h"
#include "cluster/messages.h"

namespace caravan::app {

struct TrafficRate {
  double to_worker = 0;    ///< bytes/s
  double from_worker = 0;  ///< bytes/s
};

class TrafficRates {
 public:
  /// Reports come more often than once a second; a rate needs this much time between two.
  static constexpr std::chrono::milliseconds kLeastTime{2000};

  /// What `master` has reported. Workers that it reports no more are forgotten.
  void add(const std::string& master, const std::vector<cluster::Traffic>& totals, TimePoint now);
  void forget(const std::string& master) { masters_.erase(master); }

  /// Over all masters that use it; nothing but zeros for one that nobody uses.
  TrafficRate of(const std::string& worker) const;

 private:
  struct Count {
    TimePoint since;
    cluster::Traffic total;  ///< at that time
    TrafficRate rate;        ///< until then
  };
  std::map<std::string, std::map<std::string, Count>> masters_;  ///< master, worker
};

}  // namespace caravan::app
