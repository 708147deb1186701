#include "model/progress.h"

namespace caravan::model {
namespace {

constexpr std::chrono::seconds kWindow{5};
constexpr std::chrono::milliseconds kBetweenSamples{100};

}  // namespace

std::string_view name_of(Progress::Phase phase) {
  switch (phase) {
    case Progress::Phase::connecting:
      return "connecting";
    case Progress::Phase::downloading:
      return "downloading";
    case Progress::Phase::unpacking:
      return "unpacking";
    case Progress::Phase::verifying:
      return "verifying";
    case Progress::Phase::waiting:
      return "waiting";
  }
  return "";
}

void RateMeter::add(Bytes done, TimePoint now) {
  if (!samples_.empty() && done < samples_.back().done) samples_.clear();  // began anew
  if (samples_.size() > 1 && now - samples_[samples_.size() - 2].when < kBetweenSamples) samples_.pop_back();
  samples_.push_back({now, done});
  while (samples_.size() > 2 && now - samples_[1].when >= kWindow) samples_.pop_front();
}

double RateMeter::bytes_per_second() const {
  if (samples_.size() < 2) return 0;
  const std::chrono::duration<double> time = samples_.back().when - samples_.front().when;
  const std::uint64_t bytes = samples_.back().done.count - samples_.front().done.count;
  return time.count() > 0 ? static_cast<double>(bytes) / time.count() : 0;
}

void ProgressReporter::report(Progress::Phase phase, Bytes done, std::optional<Bytes> total,
                              std::string_view note) {
  const TimePoint now = Clock::now();
  const bool new_phase = phase_ != phase;
  if (new_phase) meter_ = RateMeter();
  phase_ = phase;
  meter_.add(done, now);
  if (!control_.on_progress || (!new_phase && now - last_report_ < kBetweenSamples)) return;
  last_report_ = now;
  Progress progress{phase, done, total, meter_.bytes_per_second(), std::nullopt, std::string(note)};
  if (total && progress.bytes_per_second > 0 && *total > done) {
    const auto left = static_cast<double>(total->count - done.count);
    progress.remaining = std::chrono::duration<double>(left / progress.bytes_per_second);
  }
  control_.on_progress(progress);
}

}  // namespace caravan::model
