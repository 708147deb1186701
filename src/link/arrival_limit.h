// How many datagrams are looked at: so many a second from each host, and from all together. Pure; of bounded
// size whoever sends.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "base/units.h"

namespace caravan::link {

struct ArrivalRates {
  double each = 20;         ///< a second, from one host; several nodes may run on it
  double each_burst = 40;   ///< at once, from one host that was silent
  double all = 200;         ///< a second, from all hosts
  double all_burst = 400;   ///< at once
  std::size_t hosts = 256;  ///< that are told apart; more share one allowance
};

class ArrivalLimit {
 public:
  explicit ArrivalLimit(TimePoint now, ArrivalRates rates = {});

  /// False: do not look at this datagram.
  bool admit(const std::string& host, TimePoint now);
  std::size_t hosts() const { return hosts_.size(); }

 private:
  struct Bucket {
    double tokens = 0;
    TimePoint filled;
  };
  static bool take(Bucket& bucket, double rate, double burst, TimePoint now);
  Bucket& bucket_of(const std::string& host, TimePoint now);

  ArrivalRates rates_;
  Bucket all_;
  Bucket others_;  ///< of hosts that are too many to be told apart
  std::map<std::string, Bucket> hosts_;
  TimePoint swept_;
};

}  // namespace caravan::link
