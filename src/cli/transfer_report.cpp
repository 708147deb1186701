#include "cli/transfer_report.h"

#include <fmt/format.h>

#include "base/json.h"

namespace caravan::cli {

model::TransferControl TransferReport::control() {
  return {[this](const model::Progress& progress) { show(progress); },
          [] { return InterruptFlag::is_set(); }};
}

void TransferReport::show(const model::Progress& progress) {
  if (!json_) return line_.update(progress_text(what_, progress));
  const Json event{{"event", "progress"},
                   {"phase", name_of(progress.phase)},
                   {"bytes", progress.done.count},
                   {"total", progress.total ? Json(progress.total->count) : Json()},
                   {"bytes_per_second", progress.bytes_per_second},
                   {"seconds_left", progress.remaining ? Json(progress.remaining->count()) : Json()},
                   {"note", progress.note}};
  fmt::print("{}\n", dump_json(event));
  std::fflush(stdout);
}

}  // namespace caravan::cli
