#include "engine/token_rates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "base/json.h"
#include "base/text.h"

namespace caravan::engine {
namespace {

constexpr std::size_t kMaxPage = std::size_t{256} << 10U;
/// Fewer are no measure: of a prompt that was nearly all in the cache.
constexpr double kLeastTokens = 2;

/// Numbers like "1.23457e+06", whatever the locale.
std::optional<double> number_from(std::string_view text) {
  const auto value = parse_json(text, 64);
  if (!value || !value->is_number()) return std::nullopt;
  const double number = value->get<double>();
  return std::isfinite(number) && number >= 0 ? std::optional(number) : std::nullopt;
}

double rate_of(double tokens, double seconds) {
  return tokens >= kLeastTokens && seconds > 0 ? tokens / seconds : 0;
}

TokenRate rate_of(const TokenTotals& totals) {
  return {rate_of(totals.predicted_tokens, totals.predicted_seconds),
          rate_of(totals.prompt_tokens, totals.prompt_seconds)};
}

}  // namespace

std::optional<TokenTotals> parse_token_totals(std::string_view page) {
  if (page.size() > kMaxPage) return std::nullopt;
  constexpr std::array<std::string_view, 6> kNames{
      "llamacpp:prompt_tokens_total",    "llamacpp:prompt_seconds_total",
      "llamacpp:tokens_predicted_total", "llamacpp:tokens_predicted_seconds_total",
      "llamacpp:requests_processing",    "llamacpp:requests_deferred"};
  std::array<std::optional<double>, kNames.size()> found;
  for (const std::string& line : split(page, '\n')) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const auto name = std::find(kNames.begin(), kNames.end(), std::string_view(line).substr(0, space));
    if (name == kNames.end()) continue;
    found.at(static_cast<std::size_t>(name - kNames.begin())) =
        number_from(trim(std::string_view(line).substr(space)));
  }
  for (const auto& number : found) {
    if (!number) return std::nullopt;
  }
  const auto count = [](double number) {
    return static_cast<int>(std::min(number, static_cast<double>(std::numeric_limits<int>::max())));
  };
  return TokenTotals{*found[0], *found[1], *found[2], *found[3], count(*found[4]), count(*found[5])};
}

TokenTotals TokenRateMeter::add(const TokenTotals& totals, TimePoint now) {
  const TokenTotals before = seen_.value_or(TokenTotals{});
  seen_ = totals;
  const TokenTotals step{totals.prompt_tokens - before.prompt_tokens,
                         totals.prompt_seconds - before.prompt_seconds,
                         totals.predicted_tokens - before.predicted_tokens,
                         totals.predicted_seconds - before.predicted_seconds,
                         0,
                         0};
  while (!steps_.empty() && now - steps_.front().at > kWindow) steps_.pop_front();
  const bool is_another_engine = step.prompt_tokens < 0 || step.predicted_tokens < 0;
  if (is_another_engine) {
    seen_.reset();
    return add(totals, now);
  }
  if (step.prompt_tokens <= 0 && step.predicted_tokens <= 0) return {};
  steps_.push_back({now, step});
  const TokenRate rate = rate_of(step);
  // A prompt ends before its answer does: often each is seen in a reading of its own.
  if (rate.decode > 0) last_.decode = rate.decode;
  if (rate.prefill > 0) last_.prefill = rate.prefill;
  return step;
}

TokenRate TokenRateMeter::minute(TimePoint now) const {
  TokenTotals sum;
  for (const Step& step : steps_) {
    if (now - step.at > kWindow) continue;
    sum.prompt_tokens += step.totals.prompt_tokens;
    sum.prompt_seconds += step.totals.prompt_seconds;
    sum.predicted_tokens += step.totals.predicted_tokens;
    sum.predicted_seconds += step.totals.predicted_seconds;
  }
  return rate_of(sum);
}

}  // namespace caravan::engine
