#include "cli/recommend_report.h"

#include <gmock/gmock.h>

#include "base/text.h"

namespace caravan::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

plan::Recommendation recommendation(const std::string& name, const std::string& quantization) {
  plan::Plan replica;
  replica.context = 4096;
  replica.shares = {plan::Share{.device = "pixel 8", .layer_count = 10}};
  plan::Recommendation made;
  made.name = name;
  made.title = "Qwen2.5 3B";
  made.quantization = quantization;
  made.source = "Qwen/Qwen2.5-3B-Instruct";
  made.parameters = 3'085'938'688;
  made.download = mebibytes(2000);
  made.memory = mebibytes(2500);
  made.devices = 1;
  made.speed = 9.13;
  made.proposal.replicas = {replica};
  made.proposal.predicted = {.decode = 9.13, .prefill = 111, .first_token = 5, .load = 20};
  made.why = {"fits on pixel 8 alone", "Q6_K does not fit"};
  return made;
}

plan::Recommendations found() {
  plan::Recommendations all;
  all.best = {recommendation("qwen2.5-3b", "Q4_K_M"), recommendation("qwen2.5-3b", "Q6_K"),
              recommendation("unheard-of", "Q4_K_M")};
  all.next =
      plan::NextLarger{"big", "Big 70B", "Q4_K_M", mebibytes(40'000), "30 GiB are missing", "a server"};
  all.least_speed = 5;
  all.known = 34;
  all.too_large = 3;
  all.too_slow = 2;
  return all;
}

plan::Cluster phone() {
  plan::DeviceProfile device;
  device.name = "pixel 8";
  device.memory = mebibytes(5000);
  return {{device}, {}, {}};
}

model::Catalogue catalogue() { return model::load_catalogue().value(); }

TEST(RecommendReport, SaysHowToGetEachModel) {
  const auto exact = pull_line(recommendation("qwen2.5-3b", "Q4_K_M"), catalogue());
  ASSERT_TRUE(exact.has_value());
  EXPECT_EQ(exact->command, "caravan models pull qwen2.5-3b");
  EXPECT_TRUE(exact->is_exact);
  EXPECT_FALSE(pull_line(recommendation("qwen2.5-3b", "Q6_K"), catalogue())->is_exact);
  EXPECT_FALSE(pull_line(recommendation("unheard-of", "Q6_K"), catalogue()).has_value());
  // by an alias: the catalogue writes it gemma3-270m
  EXPECT_EQ(pull_line(recommendation("gemma-3-270m", "Q4_K_M"), catalogue())->command,
            "caravan models pull gemma3-270m");
}

TEST(RecommendReport, TheTextHasAllOfItInHundredColumns) {
  const std::string text = recommend_text(found(), phone(), {}, catalogue());
  for (const char* piece :
       {"pixel 8", "latency", "TOKENS/S", "9.1", "111", "2.44 GiB", "1 of 1", "fits on pixel 8 alone",
        "caravan models pull qwen2.5-3b", "(that is Q4_K_M; Q6_K: get a GGUF of Qwen/Qwen2.5-3B-Instruct)",
        "not in the catalogue", "34 models known; 3 do not fit, 2 would answer", "Big 70B as Q4_K_M",
        "30 GiB are missing", "cure: a server", "guessed"}) {
    EXPECT_THAT(text, HasSubstr(piece));
  }
  for (const std::string& line : split(text, '\n')) EXPECT_LE(line.size(), 100U) << line;
}

TEST(RecommendReport, NamesFromADevicesFileCannotSpeakToTheTerminal) {
  auto all = found();
  all.best.front().why = {"fits on \x1b[2Jphone alone"};
  plan::Cluster cluster = phone();
  cluster.devices.front().name = "\x1b]0;phone";
  EXPECT_THAT(recommend_text(all, cluster, {}, catalogue()), Not(HasSubstr("\x1b")));
}

TEST(RecommendReport, TheJsonHasTheSizeOfTheFileThatWouldBePulled) {
  const Json json = recommend_json(found(), phone(), {}, catalogue());
  EXPECT_EQ(json["models"][0]["download"], 1929903264U);
  EXPECT_EQ(json["models"][0]["pull"], "caravan models pull qwen2.5-3b");
  EXPECT_EQ(json["models"][1]["download"], mebibytes(2000).count);
  EXPECT_EQ(json["models"][1]["pull_quantization"], "Q4_K_M");
  EXPECT_TRUE(json["models"][2]["pull"].is_null());
  EXPECT_EQ(json["models"][0]["devices"], Json({"pixel 8"}));
  EXPECT_EQ(json["next_larger"]["title"], "Big 70B");
  EXPECT_EQ(json["objective"], "latency");
  plan::Recommendations none = found();
  none.next.reset();
  EXPECT_TRUE(recommend_json(none, phone(), {}, catalogue())["next_larger"].is_null());
}

}  // namespace
}  // namespace caravan::cli
