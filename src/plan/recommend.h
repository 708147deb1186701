// Which models and quantizations a cluster should take, the best first, and what the next larger one would
// need. The rule is written down in docs/recommend.md. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/quantization.h"
#include "model/shape.h"
#include "plan/cluster.h"
#include "plan/planner.h"

namespace caravan::plan {

/// As fast as people read: 238 words a minute (Brysbaert 2019, a review of 190 studies) at 3 words for 4
/// tokens.
inline constexpr double kReadingSpeed = 5;

struct RecommendWishes {
  Objective objective = Objective::latency;
  int context = 4096;  ///< tokens for each sequence; a model trained with less gets what it was trained with
  /// Tokens/s of one answer; nothing: kReadingSpeed, and for `fit`, where only size counts, 1.
  std::optional<double> least_speed;
  std::size_t most = 8;  ///< recommendations
};

/// One quantization of a model on these devices.
struct Tried {
  std::string quantization;
  Bytes download;  ///< size of its GGUF, estimated within 3 %
  bool fits = false;
  double speed = 0;  ///< tokens/s of one answer; 0 where it does not fit
};

struct Recommendation {
  std::string name;   ///< of the shape
  std::string title;  ///< "Qwen3 8B"
  std::string quantization;
  std::string licence;
  std::string source;  ///< whose model it is: "Qwen/Qwen3-8B"
  std::uint64_t parameters = 0;
  Bytes download;           ///< size of its GGUF, estimated within 3 %
  Bytes memory;             ///< that it takes on all its devices together
  std::size_t devices = 0;  ///< that take part
  double quality = 0;       ///< see quality_of
  double speed = 0;         ///< tokens/s of one answer
  Proposal proposal;        ///< complete, with reasons
  std::vector<std::string> why;
  std::vector<Tried> tried;  ///< all quantizations, the finest first
};

/// The smallest model that is larger than all that can be recommended.
struct NextLarger {
  std::string name;
  std::string title;
  std::string quantization;
  Bytes download;
  std::string needs;  ///< what is missing, in words and numbers
  std::string cure;
};

struct Recommendations {
  std::vector<Recommendation> best;  ///< never empty
  std::optional<NextLarger> next;    ///< nothing when the largest model known can be recommended
  double least_speed = 0;            ///< that was asked for
  std::size_t known = 0;             ///< models that were looked at
  std::size_t too_large = 0;         ///< of these, that fit with no quantization
  std::size_t too_slow = 0;          ///< of these, that fit but reach `least_speed` with no quantization
};

/// How able a model is likely to be, as the number of parameters, in thousand millions, of a model in f16 of
/// `newest` (months) that would be as able. A rough guide for ordering, not a measurement.
double quality_of(const model::ModelShape& shape, const model::Quantization& quantization,
                  std::uint64_t newest);

/// Code::invalid for a cluster without devices; Code::exhausted, with a cure, when no model fits or none is
/// fast enough.
Result<Recommendations> recommend(const std::vector<model::ModelShape>& shapes, const Cluster& cluster,
                                  const RecommendWishes& wishes);

}  // namespace caravan::plan
