#include "plan/recommend.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "model/shape_facts.h"

namespace caravan::plan {
namespace {

/// L ~ N^-0.076: how the loss of a language model falls with its parameters (Kaplan et al. 2020,
/// arXiv:2001.08361).
constexpr double kLossExponent = 0.076;
/// The parameters that as able a model needs halve in about 3.3 months (Xiao et al. 2024, arXiv:2412.04315,
/// the "densing law"); counted here with much more care.
constexpr double kMonthsToHalve = 12;
constexpr std::uint64_t kMonthsOfGrace = 6;  ///< that make no difference
/// Tokens/s at which twice the speed is worth a third more quality: above reading speed it counts less and
/// less.
constexpr double kUsefulSpeed = 10;
constexpr double kLeastSpeedForFit = 1;
constexpr double kThousandMillion = 1e9;
/// With which the next larger model is weighed: the most common quantization that loses little.
constexpr std::string_view kUsualQuantization = "Q4_K_M";

struct Size {
  double all = 0;
  double active = 0;  ///< that a token uses
};

Size size_of(const model::ModelShape& shape) {
  const model::ModelFacts facts = model::facts_of_shape(shape, model::quantizations().front());
  Size size;
  size.all = static_cast<double>(facts.parameters);
  const double experts = static_cast<double>(shape.layers * shape.experts) * 3 *
                         static_cast<double>(shape.width * shape.expert_feed_forward);
  const double used =
      shape.experts == 0 ? 1 : static_cast<double>(shape.experts_used) / static_cast<double>(shape.experts);
  size.active = size.all - experts * (1 - used);
  return size;
}

/// The part of a model's parameters that its quantized form is as able as, by the perplexity that it adds.
double kept_by(const model::Quantization& quantization) {
  const double loss = std::log(model::kReferencePerplexity);
  const double with = std::log(model::kReferencePerplexity + quantization.added_perplexity);
  return std::pow(with / loss, -1 / kLossExponent);
}

/// What becomes of one quantization of one model on the cluster.
struct Option {
  const model::Quantization* quantization = nullptr;
  model::ModelFacts facts;
  std::optional<Proposal> outline;  ///< nothing: it does not fit
  double quality = 0;
  double speed = 0;  ///< tokens/s of one answer
  double value = 0;
};

double answer_speed(const Proposal& proposal) {
  int sequences = 0;
  for (const Plan& plan : proposal.replicas) sequences += plan.parallel;
  return proposal.predicted.decode / std::max(1, sequences);
}

class Recommender {
 public:
  Recommender(const std::vector<model::ModelShape>& shapes, const Cluster& cluster,
              const RecommendWishes& wishes)
      : shapes_(shapes), cluster_(cluster), wishes_(wishes) {
    for (const model::ModelShape& shape : shapes) newest_ = std::max(newest_, shape.published);
    for (const DeviceProfile& device : cluster.devices) offered_ += device.memory;
    found_.least_speed =
        wishes.least_speed.value_or(wishes.objective == Objective::fit ? kLeastSpeedForFit : kReadingSpeed);
    found_.known = shapes.size();
  }

  Result<Recommendations> run() {
    for (const model::ModelShape& shape : shapes_) weigh(shape);
    if (candidates_.empty()) return nothing();
    rank();
    for (const Candidate& candidate : candidates_) {
      if (found_.best.size() == wishes_.most) break;
      add(candidate);
    }
    find_next();
    return std::move(found_);
  }

 private:
  struct Candidate {
    const model::ModelShape* shape = nullptr;
    std::vector<Option> options;  ///< the finest first
    std::size_t chosen = 0;       ///< the best of them

    const Option& option() const { return options[chosen]; }
  };

  Wishes wishes_for(const model::ModelShape& shape) const {
    Wishes wishes;
    wishes.objective = wishes_.objective;
    wishes.context =
        static_cast<int>(std::min<std::uint64_t>(static_cast<std::uint64_t>(wishes_.context), shape.context));
    return wishes;
  }

  double value_of(double quality, double speed) const {
    return wishes_.objective == Objective::fit ? quality : quality * speed / (speed + kUsefulSpeed);
  }

  Option option_of(const model::ModelShape& shape, const model::Quantization& quantization) const {
    Option option;
    option.quantization = &quantization;
    option.facts = model::facts_of_shape(shape, quantization);
    option.quality = quality_of(shape, quantization, newest_);
    if (option.facts.weights() > offered_) return option;  // need not be planned to be known
    option.outline = outline(option.facts, cluster_, wishes_for(shape));
    if (!option.outline) return option;
    option.speed = answer_speed(*option.outline);
    option.value = value_of(option.quality, option.speed);
    return option;
  }

  /// Keeps the model if one of its quantizations fits and is fast enough.
  void weigh(const model::ModelShape& shape) {
    Candidate candidate;
    candidate.shape = &shape;
    bool fits = false;
    std::optional<std::size_t> best;
    for (const model::Quantization& quantization : model::quantizations()) {
      Option option = option_of(shape, quantization);
      fits |= option.outline.has_value();
      if (option.outline && option.speed > fastest_) {
        fastest_ = option.speed;
        fastest_name_ = fmt::format("{} as {}", shape.title, quantization.name);
      }
      const bool is_fast = option.outline && option.speed >= found_.least_speed;
      candidate.options.push_back(std::move(option));
      if (is_fast && (!best || candidate.options.back().value > candidate.options[*best].value))
        best = candidate.options.size() - 1;
    }
    if (!best) {
      ++(fits ? found_.too_slow : found_.too_large);
      return;
    }
    candidate.chosen = *best;
    candidates_.push_back(std::move(candidate));
  }

  void rank() {
    std::stable_sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      if (a.option().value != b.option().value) return a.option().value > b.option().value;
      return a.option().speed > b.option().speed;
    });
  }

  void add(const Candidate& candidate) {
    const Option& option = candidate.option();
    const model::ModelShape& shape = *candidate.shape;
    auto proposal = propose(option.facts, cluster_, wishes_for(shape));
    if (!proposal) return;  // it has an outline, so this cannot be
    Recommendation made;
    made.name = shape.name;
    made.title = shape.title;
    made.quantization = option.quantization->name;
    made.licence = shape.licence;
    made.source = shape.source;
    made.parameters = option.facts.parameters;
    made.download = option.facts.file_size;
    made.quality = option.quality;
    made.speed = option.speed;
    made.proposal = std::move(*proposal);
    for (const Plan& plan : made.proposal.replicas) {
      for (const Share& share : plan.shares) {
        made.memory += share.total();
        ++made.devices;
      }
    }
    for (const Option& each : candidate.options) {
      made.tried.push_back(
          {std::string(each.quantization->name), each.facts.file_size, each.outline.has_value(), each.speed});
    }
    made.why = {why_there(made), why_quantized(candidate)};
    if (!found_.best.empty()) made.why.push_back(against_first(made));
    found_.best.push_back(std::move(made));
  }

  static std::string why_there(const Recommendation& made) {
    const Plan& first = made.proposal.replicas.front();
    if (made.proposal.replicas.size() > 1) {
      return fmt::format("fits {} times, side by side", made.proposal.replicas.size());
    }
    if (first.shares.size() == 1) return fmt::format("fits on {} alone", first.shares.front().device);
    std::string names = first.shares.front().device;
    for (std::size_t i = 1; i < first.shares.size() && i < 3; ++i) names += " + " + first.shares[i].device;
    if (first.shares.size() > 3) names += fmt::format(" + {} more", first.shares.size() - 3);
    return "split over " + names;
  }

  /// Why not the next finer quantization.
  std::string why_quantized(const Candidate& candidate) const {
    const Option& option = candidate.option();
    if (candidate.chosen == 0) return "Q8_0 loses nothing that anybody would notice";
    const Option& finer = candidate.options[candidate.chosen - 1];
    const std::string_view name = finer.quantization->name;
    if (!finer.outline) return fmt::format("{} does not fit", name);
    if (finer.speed < found_.least_speed) {
      return fmt::format("{} would answer at {:.2f} tokens/s only", name, finer.speed);
    }
    return fmt::format("{} loses little and is faster than {} ({} tokens/s)", option.quantization->name, name,
                       format_token_rate(finer.speed));
  }

  std::string against_first(const Recommendation& made) const {
    const Recommendation& first = found_.best.front();
    const double ratio = made.speed / first.speed;
    const std::string speed = ratio > 1.05   ? fmt::format("{:.1f} times as fast as", ratio)
                              : ratio < 0.95 ? fmt::format("{:.1f} times slower than", 1 / ratio)
                                             : std::string("as fast as");
    const double able = made.quality / first.quality;
    const std::string_view worth = able > 1.05   ? "likely more able"
                                   : able < 0.95 ? "likely less able"
                                                 : "likely as able";
    return fmt::format("{} the first, {}", speed, worth);
  }

  const model::ModelShape* larger_than_all() const {
    std::uint64_t largest = 0;
    for (const Candidate& candidate : candidates_)
      largest = std::max(largest, candidate.option().facts.parameters);
    const model::ModelShape* next = nullptr;
    double size = 0;
    for (const model::ModelShape& shape : shapes_) {
      const double its = size_of(shape).all;
      if (its <= static_cast<double>(largest) || (next != nullptr && its >= size)) continue;
      next = &shape;
      size = its;
    }
    return next;
  }

  void find_next() {
    const model::ModelShape* shape = larger_than_all();
    if (shape == nullptr) return;
    const model::Quantization& quantization = *model::find_quantization(kUsualQuantization);
    const Option option = option_of(*shape, quantization);
    NextLarger next{shape->name, shape->title, std::string(quantization.name), option.facts.file_size, "",
                    ""};
    if (option.outline) {
      next.needs = fmt::format("fits, but answers at {:.2f} tokens/s, not {}", option.speed,
                               format_token_rate(found_.least_speed));
      next.cure = fmt::format("devices {:.1f} times as fast, or --min-speed {:.1f}",
                              found_.least_speed / option.speed, std::floor(option.speed * 10) / 10);
    } else if (const auto refused = propose(option.facts, cluster_, wishes_for(*shape)); !refused) {
      next.needs = refused.error().message;
      next.cure = refused.error().hint;
    }
    found_.next = std::move(next);
  }

  Error nothing() const {
    if (found_.too_slow == 0) {
      return Error{Code::exhausted,
                   fmt::format("none of the {} models known fits into {} at a context of {}", shapes_.size(),
                               format_bytes(offered_), wishes_.context),
                   "close other programs, ask for less context, or add a device"};
    }
    return Error{Code::exhausted,
                 fmt::format("{} of the {} models known fit, but none reaches {} tokens/s", found_.too_slow,
                             shapes_.size(), format_token_rate(found_.least_speed)),
                 fmt::format("the fastest is {} with {} tokens/s: --min-speed {:.1f} lists it", fastest_name_,
                             format_token_rate(fastest_), std::floor(fastest_ * 10) / 10)};
  }

  const std::vector<model::ModelShape>& shapes_;
  const Cluster& cluster_;
  const RecommendWishes& wishes_;
  std::uint64_t newest_ = 0;
  Bytes offered_;
  std::vector<Candidate> candidates_;
  Recommendations found_;
  double fastest_ = 0;
  std::string fastest_name_;
};

}  // namespace

double quality_of(const model::ModelShape& shape, const model::Quantization& quantization,
                  std::uint64_t newest) {
  const Size size = size_of(shape);
  // of experts the geometric mean of all and of those that a token uses, as people who publish them count
  const double parameters = std::sqrt(size.all * size.active) / kThousandMillion;
  const std::uint64_t age = newest - std::min(newest, shape.published);
  const auto older = static_cast<double>(age - std::min(age, kMonthsOfGrace));
  return parameters * kept_by(quantization) * std::exp2(-older / kMonthsToHalve);
}

Result<Recommendations> recommend(const std::vector<model::ModelShape>& shapes, const Cluster& cluster,
                                  const RecommendWishes& wishes) {
  if (cluster.devices.empty())
    return Error{Code::invalid, "there is no device to recommend for", "name at least one"};
  return Recommender(shapes, cluster, wishes).run();
}

}  // namespace caravan::plan
