// What one worker tells of itself during a trace, made ready for a recording: times since it was told to
// begin, and only what counts. Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fabric/module/liveness.h"
#include "fabric/wire/weight_messages.h"
#include "trace/recording.h"

namespace caravan::fabric {

class StageRecorder {
 public:
  /// `began`: of the trace, on this device's clock.
  StageRecorder(std::string name, Moment began);

  /// Keeps at most `room` spans; how many they were. A span that cannot be counts as dropped.
  std::size_t take(const Timeline& timeline, Moment asked, Moment answered, std::size_t room);
  const trace::StageRecord& record() const { return record_; }

 private:
  bool keep(const Span& span);

  Moment began_;
  bool has_base_ = false;
  std::uint64_t base_ = 0;  ///< the worker's clock when it first told
  trace::StageRecord record_;
};

}  // namespace caravan::fabric
