#include "cli/trace_report.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "trace/testing.h"

namespace caravan::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

trace::Timeline timeline() {
  auto recording = trace::tokens_of_two_stages(6);
  recording.stages[0].name = "this device";
  recording.stages[1].name = "id-2";
  return trace::lay_out(recording);
}

/// As a node of a cluster tells it; `shares` of the second of two deployments.
Json view(const Json& shares) {
  return {
      {"self", {{"id", "id-1"}}},
      {"deployments",
       {{{"model", "other"}, {"replicas", {{{"shares", {{{"device", "id-1"}}}}}}}},
        {{"model", "m"},
         {"replicas",
          {{{"shares", {{{"device", "id-9"}, {"layers", 3}}}}},
           {{"shares", shares}, {"parallel", 2}, {"predicted", {{"decode", 100.0}, {"air_ms", 3.0}}}}}}}}}};
}

Json shares() {
  return {{{"device", "id-1"}, {"name", "phone"}, {"rank", 0}, {"layers", 4}, {"compute_ms", 5.0}},
          {{"device", "id-2"},
           {"name", "tablet"},
           {"rank", 1},
           {"layers", 6},
           {"compute_ms", 8.5},
           {"hop_ms", 1.5}}};
}

std::string text_of(const TracePlan& plan, std::size_t columns = 110) {
  return join(trace_lines(timeline(), plan, "m", columns), "\n");
}

TEST(TraceReport, KnowsTheStagesOfThePlan) {
  const TracePlan plan = trace_plan(view(shares()), "m", timeline());
  EXPECT_EQ(plan.names, (std::vector<std::string>{"phone", "tablet"}));
  EXPECT_EQ(plan.stages[0].compute_ms, 5.0);
  EXPECT_FALSE(plan.stages[0].hop_ms);
  EXPECT_EQ(plan.stages[1].hop_ms, 1.5);
  EXPECT_EQ(plan.predicted_token_ms, 20.0);
}

TEST(TraceReport, AMasterWithoutLayersIsNoStage) {
  Json all = shares();
  all[0]["layers"] = 0;
  all[1]["device"] = "id-1b";
  all.push_back(all[1]);
  all[2]["device"] = "id-2";
  auto recording = trace::tokens_of_two_stages(1);
  recording.stages[0].name = "id-1b";
  recording.stages[1].name = "id-2";
  const TracePlan plan = trace_plan(view(all), "m", trace::lay_out(recording));
  EXPECT_EQ(plan.names, (std::vector<std::string>{"tablet", "tablet"}));
}

TEST(TraceReport, AnotherPlanIsNotMixedIn) {
  Json all = shares();
  all[1]["device"] = "id-3";
  const TracePlan plan = trace_plan(view(all), "m", timeline());
  EXPECT_EQ(plan.names, (std::vector<std::string>{"phone", "id-2"}));
  EXPECT_FALSE(plan.stages[1].compute_ms);
  for (const Json& nothing : {Json(), Json(3), view(Json::array()), view(Json(7))}) {
    const TracePlan none = trace_plan(nothing, "m", timeline());
    EXPECT_EQ(none.names, (std::vector<std::string>{"this device", "id-2"}));
    EXPECT_FALSE(none.predicted_token_ms);
  }
}

TEST(TraceReport, ComparesWithThePlan) {
  const std::string text = text_of(trace_plan(view(shares()), "m", timeline()));
  EXPECT_THAT(text, HasSubstr("m: 6 tokens, 20.0 ms each (50.0 tokens/s); planned 20.0 ms"));
  EXPECT_THAT(text, HasSubstr("  ms a token      compute  planned  way to it  planned"));
  EXPECT_THAT(text, HasSubstr("  tablet          8.00     8.50     2.50       1.50"));
  EXPECT_THAT(text, HasSubstr("between devices: 4.5"));
  EXPECT_THAT(text, HasSubstr("ms a token, of that planned for the air 3.00"));
  EXPECT_THAT(text, HasSubstr("# computes"));
  EXPECT_THAT(text, Not(HasSubstr("predicts")));
}

TEST(TraceReport, SaysWhereThereIsNoPrediction) {
  const std::string text = text_of(trace_plan(Json(), "m", timeline()));
  EXPECT_THAT(text, HasSubstr("nothing to compare with"));
  EXPECT_THAT(text, Not(HasSubstr("planned")));
  TracePlan plan = trace_plan(view(shares()), "m", timeline());
  plan.stages = std::vector<trace::Predicted>(2);
  EXPECT_THAT(text_of(plan), HasSubstr("not that of each stage"));
}

TEST(TraceReport, FitsTheTerminal) {
  for (const std::size_t columns : {45U, 60U, 79U}) {
    for (const std::string& line :
         trace_lines(timeline(), trace_plan(Json(), "m", timeline()), "m", columns)) {
      const bool is_sentence = line.find("computes") != std::string::npos ||
                               line.find("compare") != std::string::npos ||
                               line.find("each") != std::string::npos;
      EXPECT_LE(line.size(), is_sentence ? 200 : columns) << line;
    }
  }
}

TEST(TraceReport, WithoutTokensItSaysSo) {
  const auto empty = trace::lay_out(trace::tokens_of_two_stages(0));
  const auto lines = trace_lines(empty, trace_plan(Json(), "m", empty), "m", 80);
  EXPECT_EQ(lines.front(), "m: no whole token was traced");
}

TEST(TraceReport, IsThereForPrograms) {
  const Json json = trace_json(timeline(), trace_plan(view(shares()), "m", timeline()), "m");
  EXPECT_EQ(json["tokens"], 6);
  EXPECT_EQ(json["predicted_token_ms"], 20.0);
  EXPECT_NEAR(json["between_ms"].get<double>(), 4.5, 0.1);
  EXPECT_EQ(json["predicted_air_ms"], 3.0);
  EXPECT_EQ(json["stages"][1]["name"], "tablet");
  EXPECT_NEAR(json["stages"][1]["compute_ms"].get<double>(), 8, 0.1);
  EXPECT_NEAR(json["stages"][1]["wire_ms"].get<double>(), 2.5, 0.1);
  EXPECT_EQ(json["stages"][1]["predicted_compute_ms"], 8.5);
  EXPECT_FALSE(json["stages"][0].contains("predicted_hop_ms"));
  EXPECT_TRUE(json["stages"][0].contains("clock_uncertainty_ms"));
  EXPECT_FALSE(json["master"].contains("clock_uncertainty_ms"));
}

}  // namespace
}  // namespace caravan::cli
