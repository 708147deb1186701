#include "app/speed_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/json_look.h"

namespace caravan::app {
namespace {

constexpr std::size_t kMostDevices = 64;
constexpr double kMostCount = 10000;  ///< of layers or sequences, in what another device has told
constexpr device::SpeedWatch::Limits kLimits;

int count_in(const Json& object, const char* field) {
  return static_cast<int>(std::clamp(number_in(object, field), 0.0, kMostCount));
}

bool is_near(double rate, double expected) {
  return std::abs(rate - expected) <= kLimits.departure * expected;
}

}  // namespace

std::optional<PlannedSpeed> planned_speed(const Json& deployments, const std::string& master) {
  for (const Json& deployment : part_of(deployments, "deployments")) {
    for (const Json& replica : part_of(deployment, "replicas")) {
      PlannedSpeed plan{text_in(deployment, "model"),
                        number_in(part_of(replica, "predicted"), "decode"),
                        std::max(1, count_in(replica, "parallel")),
                        {},
                        {},
                        !part_of(replica, "speculation").empty()};
      for (const Json& share : part_of(replica, "shares")) {
        if (plan.devices.size() == kMostDevices) break;
        plan.devices.push_back(text_in(share, "device"));
        plan.layers.push_back(count_in(share, "layers"));
      }
      if (!plan.devices.empty() && plan.devices.front() == master && plan.decode > 0) return plan;
    }
  }
  return std::nullopt;
}

std::optional<std::string> SpeedCheck::answered(const engine::TokenTotals& ended,
                                                const engine::TokenTotals& all, const PlannedSpeed& plan,
                                                TimePoint now) {
  const double least = std::max(kLeastTokens, all.predicted_tokens * kLeastPart);
  if (ended.predicted_tokens < least || ended.predicted_seconds <= 0) return std::nullopt;
  if (plan_ != plan) {
    // Another layout, or another promise: what was noticed of the one before says nothing about it.
    plan_ = plan;
    watch_ = {};
    rates_.clear();
    agreeing_ = 0;
    usual_ = 1;
    wanted_ = false;
    note_.reset();
  }
  if (last_ && now < *last_ + kSettle) return std::nullopt;
  const double rate = ended.predicted_tokens / ended.predicted_seconds;
  const double most = plan.guesses ? std::numeric_limits<double>::infinity() : plan.decode;
  const double expected = std::clamp(rate, plan.decode / plan.parallel * usual_, most * usual_);
  rates_.push_back(rate);
  if (rates_.size() > static_cast<std::size_t>(kLimits.answers)) rates_.pop_front();
  agreeing_ = is_near(rate, expected) ? agreeing_ + 1 : 0;
  if (watch_.departs(rate, expected)) return departed(expected, now);
  return agreeing_ == kLimits.answers ? agreed() : std::nullopt;
}

double SpeedCheck::mean() const {
  return std::accumulate(rates_.begin(), rates_.end(), 0.0) / static_cast<double>(rates_.size());
}

/// `expected`: of the newest answer.
std::optional<std::string> SpeedCheck::departed(double expected, TimePoint now) {
  const double planned = expected / usual_;
  if (usual_ != 1 && is_near(mean(), planned)) {
    usual_ = 1;
    note_.reset();
    return "answers are as fast as planned again";
  }
  const bool is_new = !wanted_;
  note_ = cluster::SpeedNote{mean(), planned, cluster::SpeedNote::State::waits};
  if (unchecked_) {
    unchecked_ = false;
    usual_ = mean() / planned;
    note_->state = cluster::SpeedNote::State::stays;
    return describe(*note_);
  }
  wanted_ = true;
  if (!is_new) return std::nullopt;
  due_at_ = last_ ? std::max<TimePoint>(now, *last_ + kPause) : now;
  return describe(*note_);
}

std::optional<std::string> SpeedCheck::agreed() {
  unchecked_ = false;
  if (!note_ || note_->state != cluster::SpeedNote::State::waits) return std::nullopt;
  wanted_ = false;
  note_.reset();
  return "answers are as fast as planned again";
}

bool SpeedCheck::asked(TimePoint now) {
  if (last_ && now < *last_ + kPause) return false;
  if (!wanted_) due_at_ = now;
  wanted_ = true;
  return true;
}

void SpeedCheck::rests(bool is_quiet, TimePoint now) {
  if (!is_quiet) quiet_since_.reset();
  if (is_quiet && !quiet_since_) quiet_since_ = now;
}

void SpeedCheck::began() {
  if (note_) note_->state = cluster::SpeedNote::State::measures;
}

void SpeedCheck::interrupted() {
  quiet_since_.reset();
  if (note_) note_->state = cluster::SpeedNote::State::waits;
}

void SpeedCheck::measured(TimePoint now) {
  unchecked_ = note_.has_value();
  note_.reset();
  if (std::exchange(wanted_, false)) last_ = now;
  watch_ = {};
  agreeing_ = 0;
}

std::vector<std::string> SpeedCheck::others() const {
  if (!note_ || !plan_) return {};
  return {plan_->devices.begin() + 1, plan_->devices.end()};
}

}  // namespace caravan::app
