#include "engine/token_rates.h"

#include <string>

#include <gtest/gtest.h>

namespace caravan::engine {
namespace {

using std::chrono::seconds;

/// As llama-server of v0.5.0 writes it, shortened.
constexpr const char* kPage =
    "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens\n"
    "# TYPE llamacpp:prompt_tokens_total counter\n"
    "llamacpp:prompt_tokens_total 1.23457e+06\n"
    "llamacpp:prompt_tokens_cached_total 3\n"
    "llamacpp:prompt_seconds_total 16.5\n"
    "llamacpp:tokens_predicted_total 240\n"
    "llamacpp:tokens_predicted_seconds_total 24\n"
    "llamacpp:requests_processing 1\n"
    "llamacpp:requests_deferred 2\n"
    "llamacpp:n_busy_slots_per_decode nan\n"
    "llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position=\"0\"} 4\n";

TokenTotals totals(double prompt, double prompt_seconds, double predicted, double predicted_seconds) {
  return {prompt, prompt_seconds, predicted, predicted_seconds, 0, 0};
}

TEST(TokenTotals, AreReadFromTheEnginesPage) {
  EXPECT_EQ(parse_token_totals(kPage), (TokenTotals{1234570, 16.5, 240, 24, 1, 2}));
}

TEST(TokenTotals, APageThatLacksOneOrIsNoneSaysNothing) {
  const std::string page(kPage);
  EXPECT_FALSE(parse_token_totals(""));
  EXPECT_FALSE(parse_token_totals("404 not found"));
  EXPECT_FALSE(parse_token_totals(page.substr(0, page.find("llamacpp:requests_deferred"))));
  EXPECT_FALSE(parse_token_totals(page + "llamacpp:prompt_seconds_total -1\n"));
  EXPECT_FALSE(parse_token_totals(page + "llamacpp:prompt_seconds_total many\n"));
  EXPECT_FALSE(parse_token_totals(std::string(std::size_t{300} << 10U, '\n') + page));
}

TEST(TokenRateMeter, TellsTheLastAnswerAndTheLastMinute) {
  TokenRateMeter meter;
  const TimePoint start{};
  meter.add(totals(0, 0, 0, 0), start);
  EXPECT_EQ(meter.last().decode, 0);
  meter.add(totals(100, 2, 0, 0), start + seconds(2));
  EXPECT_EQ(meter.last().prefill, 50);
  EXPECT_EQ(meter.last().decode, 0) << "the answer is under way";
  meter.add(totals(100, 2, 40, 4), start + seconds(4));
  meter.add(totals(100, 2, 60, 8), start + seconds(6));
  EXPECT_EQ(meter.last().decode, 5);
  EXPECT_EQ(meter.last().prefill, 50);
  EXPECT_EQ(meter.minute(start + seconds(6)).decode, 7.5);
  EXPECT_EQ(meter.minute(start + seconds(65)).decode, 5) << "the first is more than a minute ago";
  EXPECT_EQ(meter.minute(start + seconds(65)).prefill, 0);
  EXPECT_EQ(meter.minute(start + seconds(100)).decode, 0);
  EXPECT_EQ(meter.last().decode, 5) << "the last answer stays the last";
}

TEST(TokenRateMeter, ARestartedEngineCountsFromZero) {
  TokenRateMeter meter;
  const TimePoint start{};
  meter.add(totals(1000, 10, 1000, 100), start);
  meter.add(totals(10, 1, 20, 1), start + seconds(2));
  EXPECT_EQ(meter.last().decode, 20);
  EXPECT_EQ(meter.last().prefill, 10);
}

TEST(TokenRateMeter, OneTokenIsNoMeasure) {
  TokenRateMeter meter;
  meter.add(totals(1, 0.5, 1, 0.001), TimePoint{});
  EXPECT_EQ(meter.last().decode, 0);
  EXPECT_EQ(meter.last().prefill, 0);
}

}  // namespace
}  // namespace caravan::engine
