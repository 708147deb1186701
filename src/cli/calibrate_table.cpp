#include "cli/calibrate_table.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"
#include "device/speed_estimate.h"

namespace caravan::cli {
namespace {

using device::Speed;

constexpr int kManyColumns = 512;
constexpr int kSomeColumns = 64;
constexpr int kExampleContext = 512;

std::string figure(std::optional<double> value) {
  if (!value) return "-";
  return fmt::format("{:.{}f}", *value, *value < 10 ? 2 : *value < 100 ? 1 : 0);
}

std::optional<double> scaled(std::optional<double> rate, double factor) {
  return rate ? std::optional<double>(*rate * factor) : std::nullopt;
}

/// A multiply-add is two floating point operations.
std::optional<double> gigaflops(const Speed& speed, std::string_view type, bool plain, int threads) {
  auto rate = speed.rate(Quantity::prefill, type, plain, threads, kManyColumns);
  if (!rate) rate = speed.rate(Quantity::prefill, type, plain, threads, kSomeColumns);
  return scaled(rate, 2e-9);
}

std::optional<double> gigabytes(const Speed& speed, std::string_view type, bool plain, int threads) {
  return scaled(speed.rate(Quantity::decode, type, plain, threads, 1), 1e-9);
}

/// In the order in which they were measured.
std::vector<std::string> types_of(const Speed& speed) {
  std::vector<std::string> types;
  for (const Measurement& measurement : speed.measurements) {
    if (measurement.type.empty()) continue;
    if (std::find(types.begin(), types.end(), measurement.type) == types.end())
      types.push_back(measurement.type);
  }
  return types;
}

std::string special_layouts(const Speed& speed) {
  std::set<std::string> names;
  for (const Measurement& measurement : speed.measurements) {
    if (!measurement.plain()) names.insert(measurement.layout);
  }
  if (names.empty()) return "special";
  const std::vector<std::string> sorted(names.begin(), names.end());
  return join(sorted, ", ");
}

std::string rows_of_types(const Speed& speed, int decode_threads, int prefill_threads) {
  const std::string special = special_layouts(speed);
  std::string text =
      fmt::format("{:<10}{:>22}{:>28}\n", "", fmt::format("answers, GB/s ({} thr.)", decode_threads),
                  fmt::format("prompts, GFLOP/s ({} thr.)", prefill_threads));
  text += fmt::format("{:<10}{:>10}{:>12}{:>16}{:>12}\n", "weights", "plain", special, "plain", special);
  for (const std::string& type : types_of(speed)) {
    text += fmt::format("{:<10}{:>10}{:>12}{:>16}{:>12}\n", printable(type),
                        figure(gigabytes(speed, type, true, decode_threads)),
                        figure(gigabytes(speed, type, false, decode_threads)),
                        figure(gigaflops(speed, type, true, prefill_threads)),
                        figure(gigaflops(speed, type, false, prefill_threads)));
  }
  return text;
}

std::optional<double> decode_rate(const Speed& speed, int threads) {
  const auto time = device::estimate_decode(speed, device::one_billion_q4_k_m(), threads, kExampleContext);
  return time ? std::optional<double>(1 / time->total().count()) : std::nullopt;
}

std::optional<double> prefill_rate(const Speed& speed, int threads) {
  const auto time = device::estimate_prefill(speed, device::one_billion_q4_k_m(), threads, kExampleContext);
  return time ? std::optional<double>(kExampleContext / time->total().count()) : std::nullopt;
}

/// Why these thread counts: what each count would bring.
std::string row_of_threads(const Speed& speed, int decode_threads, int prefill_threads) {
  std::vector<std::string> tried;
  for (const int threads : speed.threads) {
    tried.push_back(fmt::format("{}: {} / {}", threads, figure(decode_rate(speed, threads)),
                                figure(prefill_rate(speed, threads))));
  }
  return fmt::format(
      "threads   {} for answers, {} for prompts; the example below at {} tok/s\n"
      "          (the fewest that are within 3 % of the best)\n",
      decode_threads, prefill_threads, join(tried, ", "));
}

std::string row_of_memory(const Speed& speed) {
  std::vector<std::string> rates;
  for (const int threads : speed.threads) {
    const auto rate = scaled(speed.rate(Quantity::memory, "", true, threads, 1), 1e-9);
    if (rate) rates.push_back(fmt::format("{} GB/s with {}", figure(rate), threads));
  }
  return fmt::format("memory    {}\n", rates.empty() ? "-" : join(rates, ", "));
}

std::string row_of_operations(const Speed& speed, int threads) {
  const auto rate = speed.rate(Quantity::small_op, "", true, threads, 1);
  const auto attention = speed.rate(Quantity::attention, "", true, threads, 1);
  if (!rate || !attention) return "";
  return fmt::format("between   {:.2f} microseconds an operation, attention {} GFLOP/s ({} thr.)\n",
                     1e6 / *rate, figure(*attention * 2e-9), threads);
}

std::string row_of_disturbance(const Speed& speed) {
  const double least = device::least_share(speed);
  if (least >= device::kDisturbedShare) return "";
  return fmt::format(
      "note      other programs were busy: in places only {:.0f} % of the processor was free; measure again "
      "when idle\n",
      least * 100);
}

std::string rows_of_skipped(const std::vector<engine::KernelSkipped>& skipped) {
  std::vector<std::string> no_layout;
  std::vector<std::string> no_time;
  for (const engine::KernelSkipped& skip : skipped) {
    (skip.reason == engine::kNoSpecialLayout ? no_layout : no_time).push_back(skip.type + " " + skip.layout);
  }
  std::string text;
  for (std::string& name : no_layout) name = name.substr(0, name.find(' '));
  if (!no_layout.empty())
    text +=
        fmt::format("          no special layout on this processor: {}\n", printable(join(no_layout, ", ")));
  if (!no_time.empty())
    text += fmt::format("          no time was left for: {}\n", printable(join(no_time, ", ")));
  return text;
}

}  // namespace

std::string describe(const Measurement& measurement) {
  std::string text(name_of(measurement.quantity));
  if (!measurement.type.empty()) text += fmt::format(" {}, {}", measurement.type, measurement.layout);
  text += fmt::format(", {} {}", measurement.threads, measurement.threads == 1 ? "thread" : "threads");
  return printable(text);
}

std::vector<int> usual_thread_counts(const device::CoreFacts& cores) {
  std::set<int> counts{1, std::max(1, cores.decode.count),
                       std::max(1, static_cast<int>(cores.allowed.size()))};
  return {counts.begin(), counts.end()};
}

std::string table_of(const Speed& speed, const std::vector<engine::KernelSkipped>& skipped) {
  const device::TokenWork example = device::one_billion_q4_k_m();
  const int decode_threads = device::best_decode_threads(speed, example);
  const int prefill_threads = device::best_prefill_threads(speed, example);
  if (decode_threads == 0 || prefill_threads == 0) return "too little was measured for a table\n";
  std::string text =
      fmt::format("engine    {}, ggml {}\n", printable(speed.engine_build), printable(speed.ggml));
  text += row_of_threads(speed, decode_threads, prefill_threads);
  text += row_of_memory(speed);
  text += row_of_operations(speed, decode_threads);
  text += "\n" + rows_of_types(speed, decode_threads, prefill_threads) + rows_of_skipped(skipped) + "\n";
  text += row_of_disturbance(speed);
  text += fmt::format(
      "estimate  a 1 B model in Q4_K_M (Llama-3.2-1B) on this device alone: answers at about {} tok/s, "
      "prompts at about {}"
      " tok/s\n",
      figure(decode_rate(speed, decode_threads)), figure(prefill_rate(speed, prefill_threads)));
  return text;
}

Json json_of(const Speed& speed, const std::vector<engine::KernelSkipped>& skipped) {
  const device::TokenWork example = device::one_billion_q4_k_m();
  const int decode_threads = device::best_decode_threads(speed, example);
  const int prefill_threads = device::best_prefill_threads(speed, example);
  const auto decode = decode_rate(speed, decode_threads);
  const auto prefill = prefill_rate(speed, prefill_threads);
  Json value = device::to_json(speed);
  value["skipped"] = Json::array();
  for (const engine::KernelSkipped& skip : skipped)
    value["skipped"].push_back({{"type", skip.type}, {"layout", skip.layout}, {"reason", skip.reason}});
  value["best_threads"] = {{"decode", decode_threads}, {"prefill", prefill_threads}};
  value["estimate"] = {{"model", "1 B, Q4_K_M"},
                       {"context", kExampleContext},
                       {"decode_tokens_per_second", decode ? Json(*decode) : Json()},
                       {"prefill_tokens_per_second", prefill ? Json(*prefill) : Json()}};
  return value;
}

}  // namespace caravan::cli
