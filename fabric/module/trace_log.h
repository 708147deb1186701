// The master's own part of a trace: what it said to the stages and what it waited for. Off until begin(), and
// then one look at an atomic. All functions may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "fabric/module/liveness.h"
#include "trace/recording.h"

namespace caravan::fabric {

class TraceLog {
 public:
  explicit TraceLog(std::size_t stages) : stages_(stages) {}

  bool on() const { return on_.load(std::memory_order_relaxed); }
  /// Forgets what there was. A step with at most `decode_rows` rows counts as a token.
  void begin(Moment now, std::uint32_t decode_rows);
  void end() { on_ = false; }

  /// A graph of this stage was said, whose input has so many rows. `is_split`: every stage has a part of each
  /// tensor, so that there are many passes through the stages before a result.
  void said(std::size_t stage, std::uint64_t graph, std::uint32_t rows, Moment now, bool is_split = false);
  /// Somebody waited for what the stage owes.
  void waited(std::size_t stage, Moment from, Moment to);

  /// Steps of decode whose results have come.
  int tokens() const;
  /// There is no room for more.
  bool full() const;
  /// All of it but the stages' own parts.
  trace::Recording recording(Moment now) const;

 private:
  bool begins_a_step(std::size_t stage, bool is_split) const;
  trace::Nanoseconds since_begin(Moment moment) const;

  std::size_t stages_;
  std::atomic<bool> on_ = false;
  mutable std::mutex lock_;  ///< guards what follows
  Moment began_{};
  std::size_t last_stage_ = 0;
  bool has_waited_ = false;  ///< since the last graph of the first stage
  bool full_ = false;
  trace::Recording so_far_;
};

}  // namespace caravan::fabric
