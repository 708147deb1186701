// What one worker still owes: the reads that were asked for, and where their bytes go. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "base/result.h"
#include "fabric/wire/weight_messages.h"

namespace caravan::fabric {

class Inbox {
 public:
  /// The request number for a GET of `to.size()` bytes, at least one. `to` has to live until it has come or
  /// give_up().
  std::uint32_t expect(std::span<char> to);
  /// For a PING, a WEIGHTS_END or a STATS.
  std::uint32_t expect_other();

  /// Code::invalid for what nobody asked for, is out of order or too long.
  Result<void> take(const Data& data);
  Result<void> take(const Pong& pong);
  Result<void> take(const Missing& missing);
  Result<void> take(const Timeline& timeline);

  bool waits_for(std::uint32_t request) const {
    return reads_.contains(request) || others_.contains(request);
  }
  /// What was missing by all that has come since the last call, in order.
  std::vector<MissingWeight> missing();
  /// Some read has not come. Nothing else counts.
  bool waits() const { return !reads_.empty(); }
  /// Nothing more will come: what has not come yet is zeros.
  void give_up();

 private:
  struct Read {
    std::span<char> to;
    std::size_t received = 0;
  };
  std::uint32_t last_ = 0;
  std::map<std::uint32_t, Read> reads_;
  std::set<std::uint32_t> others_;  ///< PONGs, MISSINGs and TIMELINEs
  std::vector<MissingWeight> missing_;
};

}  // namespace caravan::fabric
