#include "link/link_speed.h"

#include <gtest/gtest.h>

namespace caravan::link {
namespace {

std::vector<Seconds> samples(const std::vector<double>& values) {
  std::vector<Seconds> all;
  for (const double value : values) all.emplace_back(value);
  return all;
}

TEST(LinkSpeed, PercentilesByNearestRank) {
  EXPECT_EQ(percentile({}, 0.5), Seconds(0));
  EXPECT_EQ(percentile(samples({3}), 0.5), Seconds(3));
  EXPECT_EQ(percentile(samples({4, 1, 3, 2}), 0.5), Seconds(2));
  EXPECT_EQ(percentile(samples({5, 1, 4, 2, 3}), 0.5), Seconds(3));
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  EXPECT_EQ(percentile(samples(hundred), 0.95), Seconds(95));
  EXPECT_EQ(percentile(samples(hundred), 0), Seconds(1));
  EXPECT_EQ(percentile(samples(hundred), 1), Seconds(100));
  EXPECT_EQ(percentile(samples(hundred), 7), Seconds(100));
}

TEST(LinkSpeed, SurvivesJsonAndRefusesNonsense) {
  const LinkSpeed speed{Seconds(0.0047), Seconds(0.012), 2.4e7, 2.3e7};
  const auto text = parse_json(dump_json(to_json(speed)), 4096);
  ASSERT_TRUE(text.ok());
  const auto read = link_speed_from_json(*text);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->round_trip_median, speed.round_trip_median);
  EXPECT_EQ(read->round_trip_p95, speed.round_trip_p95);
  EXPECT_DOUBLE_EQ(read->upload, speed.upload);
  EXPECT_DOUBLE_EQ(read->download, speed.download);
  for (const char* field :
       {"round_trip_median_s", "round_trip_p95_s", "upload_bytes_per_s", "download_bytes_per_s"}) {
    for (const Json& bad : {Json(-1), Json("fast"), Json(1e20), Json()}) {
      Json value = to_json(speed);
      value[field] = bad;
      const auto refused = link_speed_from_json(value);
      ASSERT_FALSE(refused.ok()) << field << " " << bad;
      EXPECT_NE(refused.error().message.find(field), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace caravan::link
