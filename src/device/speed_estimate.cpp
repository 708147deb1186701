#include "device/speed_estimate.h"

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

namespace caravan::device {
namespace {

constexpr int kManyColumns = 512;
constexpr int kSomeColumns = 64;
constexpr int kReferenceContext = 512;
constexpr double kWorthMoreThreads = 1.03;

/// Bits a weight (ggml-common.h's block sizes), ascending: types that were not measured are close to their
/// neighbours in size.
constexpr std::array<std::pair<std::string_view, double>, 27> kBits{
    {{"q1_0", 1.125},     {"iq1_s", 1.5625},  {"iq1_m", 1.75},   {"tq1_0", 1.6875}, {"tq2_0", 2.0625},
     {"iq2_xxs", 2.0625}, {"iq2_xs", 2.3125}, {"iq2_s", 2.5625}, {"q2_K", 2.625},   {"iq3_xxs", 3.0625},
     {"iq3_s", 3.4375},   {"q3_K", 3.4375},   {"iq4_xs", 4.25},  {"mxfp4", 4.25},   {"q4_0", 4.5},
     {"q4_K", 4.5},       {"iq4_nl", 4.5},    {"nvfp4", 4.5},    {"q4_1", 5.0},     {"q5_0", 5.5},
     {"q5_K", 5.5},       {"q5_1", 6.0},      {"q6_K", 6.5625},  {"q8_0", 8.5},     {"f16", 16.0},
     {"bf16", 16.0},      {"f32", 32.0}}};

std::optional<double> bits_of(std::string_view type) {
  for (const auto& [name, bits] : kBits) {
    if (name == type) return bits;
  }
  return std::nullopt;
}

std::optional<double> rate_of_type(const Speed& speed, Quantity quantity, std::string_view type, int threads,
                                   int columns) {
  const auto special = speed.rate(quantity, type, /*plain=*/false, threads, columns);
  return special ? special : speed.rate(quantity, type, /*plain=*/true, threads, columns);
}

/// Of that type, or of the measured one that is nearest in size.
std::optional<double> rate_near(const Speed& speed, Quantity quantity, std::string_view type, int threads,
                                int columns) {
  if (const auto exact = rate_of_type(speed, quantity, type, threads, columns)) return exact;
  const double wanted = bits_of(type).value_or(4.5);
  std::optional<double> nearest;
  double distance = std::numeric_limits<double>::infinity();
  for (const Measurement& measurement : speed.measurements) {
    const auto bits = bits_of(measurement.type);
    const bool fits = measurement.quantity == quantity && measurement.plain() &&
                      measurement.threads == threads && measurement.columns == columns && bits;
    // The plain layout also where the neighbour has a special one: whether this type has, nobody knows.
    if (!fits || std::abs(std::log(*bits / wanted)) >= distance) continue;
    distance = std::abs(std::log(*bits / wanted));
    nearest = measurement.rate;
  }
  return nearest;
}

std::optional<Seconds> time_of_decode(const Speed& speed, const std::vector<MatrixWork>& matrices,
                                      int threads) {
  Seconds total{};
  for (const MatrixWork& matrix : matrices) {
    const auto rate = rate_near(speed, Quantity::decode, matrix.type, threads, 1);
    if (!rate) return std::nullopt;
    total += Seconds(static_cast<double>(matrix.bytes.count) / *rate);
  }
  return total;
}

std::optional<Seconds> time_of_prefill(const Speed& speed, const std::vector<MatrixWork>& matrices,
                                       int threads, int tokens) {
  const bool many = tokens > (kManyColumns + kSomeColumns) / 2;
  Seconds total{};
  for (const MatrixWork& matrix : matrices) {
    auto rate = rate_near(speed, Quantity::prefill, matrix.type, threads, many ? kManyColumns : kSomeColumns);
    if (!rate) rate = rate_near(speed, Quantity::prefill, matrix.type, threads, kSomeColumns);
    if (!rate) return std::nullopt;
    total += Seconds(static_cast<double>(matrix.weights) * tokens / *rate);
  }
  return total;
}

/// The smallest count at which more threads bring little.
int best_threads(const Speed& speed,
                 const std::function<std::optional<TimeEstimate>(int threads)>& estimate) {
  int best = 0;
  double best_time = std::numeric_limits<double>::infinity();
  for (const int threads : speed.threads) {
    const auto time = estimate(threads);
    if (!time || best_time < time->total().count() * kWorthMoreThreads) continue;
    best = threads;
    best_time = time->total().count();
  }
  return best;
}

}  // namespace

TokenWork work_of(const TransformerShape& shape) {
  constexpr int kMatrices = 7;
  constexpr int kBetween =
      12;  // 2 norms, 2 factors, 2 rotations, 2 cache writes, attention, 2 additions, 1 gate
  TokenWork work;
  work.operations = shape.layers * (kMatrices + kBetween) + 3;
  const std::uint64_t per_layer =
      6 * shape.width + shape.query_width + 3 * shape.key_width + shape.feed_forward;
  work.elements = static_cast<double>(per_layer) * shape.layers;
  work.attention = 2.0 * static_cast<double>(shape.query_width) * shape.layers;
  return work;
}

TokenWork one_billion_q4_k_m() {
  // Q4_K_M has half of the ffn_down and attn_v matrices, and the tied head, in Q6_K (llama-quant.cpp).
  TokenWork work =
      work_of({.layers = 16, .width = 2048, .feed_forward = 8192, .query_width = 2048, .key_width = 512});
  work.layers = {{"q4_K", Bytes{467'140'608}, 830'472'192}, {"q6_K", Bytes{116'981'760}, 142'606'336}};
  work.head = {{"q6_K", Bytes{215'470'080}, 262'668'288}};
  return work;
}

std::optional<TimeEstimate> estimate_decode(const Speed& speed, const TokenWork& work, int threads,
                                            int context) {
  const auto layers = time_of_decode(speed, work.layers, threads);
  const auto head = time_of_decode(speed, work.head, threads);
  const auto operations = speed.rate(Quantity::small_op, "", true, threads, 1);
  const auto attention = speed.rate(Quantity::attention, "", true, threads, 1);
  if (!layers || !head || !operations || !attention) return std::nullopt;
  TimeEstimate estimate;
  estimate.matrices = *layers + *head;
  estimate.attention = Seconds(work.attention * context / *attention);
  estimate.between = Seconds(work.operations / *operations);
  return estimate;
}

std::optional<TimeEstimate> estimate_prefill(const Speed& speed, const TokenWork& work, int threads,
                                             int tokens) {
  const auto layers = time_of_prefill(speed, work.layers, threads, tokens);
  const auto head = time_of_decode(speed, work.head, threads);
  const auto elements = speed.rate(Quantity::elements, "", true, threads, kManyColumns);
  const auto attention = speed.rate(Quantity::attention, "", true, threads, kManyColumns);
  if (!layers || !head || !elements || !attention) return std::nullopt;
  TimeEstimate estimate;
  estimate.matrices = *layers + *head;
  estimate.attention = Seconds(work.attention * tokens * (tokens + 1.0) / 2 / *attention);
  estimate.between = Seconds(work.elements * tokens / *elements);
  return estimate;
}

int best_decode_threads(const Speed& speed, const TokenWork& work) {
  return best_threads(speed,
                      [&](int threads) { return estimate_decode(speed, work, threads, kReferenceContext); });
}

int best_prefill_threads(const Speed& speed, const TokenWork& work) {
  return best_threads(speed,
                      [&](int threads) { return estimate_prefill(speed, work, threads, kReferenceContext); });
}

}  // namespace caravan::device
