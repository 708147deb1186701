#include "device/cores.h"

#include <gmock/gmock.h>

#include "device/fixture.h"

namespace caravan::device {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<Cpu> cpus(int first, int count, Cpu like) {
  std::vector<Cpu> all;
  for (int number = first; number < first + count; ++number) {
    like.number = number;
    like.core = number;
    all.push_back(like);
  }
  return all;
}

std::vector<Cpu> operator+(std::vector<Cpu> a, const std::vector<Cpu>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Cores, CpuLists) {
  EXPECT_THAT(*parse_cpu_list("0-3,7\n"), ElementsAre(0, 1, 2, 3, 7));
  EXPECT_THAT(*parse_cpu_list("7,0-1,1"), ElementsAre(0, 1, 7));
  EXPECT_THAT(*parse_cpu_list("\n"), IsEmpty());
  for (const char* bad : {"3-1", "-1", "a", "0-", "0,,1", "0-4294967295", "4096", "1-2-3"}) {
    EXPECT_FALSE(parse_cpu_list(bad)) << bad;
  }
}

TEST(Cores, ManyRangesStayBounded) {
  std::string text = "0-4095";
  for (int i = 0; i < 1000; ++i) text += ",0-4095";
  EXPECT_FALSE(parse_cpu_list(text));
}

TEST(Cores, LittleByCapacityWhereTheDesignIsNotKnown) {
  const auto clusters = make_clusters(cpus(0, 4, {.capacity = 400, .max_mhz = 2000}) +
                                      cpus(4, 3, {.capacity = 800, .max_mhz = 2800}) +
                                      cpus(7, 1, {.capacity = 1024, .max_mhz = 3200}));
  ASSERT_EQ(clusters.size(), 3U);
  EXPECT_THAT(clusters[0].cpus, ElementsAre(7));
  EXPECT_FALSE(clusters[1].little);
  EXPECT_TRUE(clusters[2].little);
  EXPECT_EQ(clusters[2].cores, 4);
  EXPECT_EQ(clusters[1].max_mhz, 2800);
}

TEST(Cores, LittleByFrequencyWhereTheCapacityIsHidden) {
  const auto clusters = make_clusters(cpus(0, 4, {.max_mhz = 1700}) + cpus(4, 4, {.max_mhz = 2400}));
  ASSERT_EQ(clusters.size(), 2U);
  EXPECT_FALSE(clusters[0].little);
  EXPECT_TRUE(clusters[1].little);
}

TEST(Cores, TheDesignDecidesAgainstTheFrequency) {
  // A78 and A55 of a Snapdragon 695: 1.8 of 2.2 GHz is more than three quarters.
  const auto little =
      make_clusters(cpus(0, 6, {.max_mhz = 1804, .design = "Cortex-A55", .little_design = true}) +
                    cpus(6, 2, {.max_mhz = 2208, .design = "Cortex-A78"}));
  EXPECT_TRUE(little[1].little);
  // All big: the slower A720 of a Dimensity 9300.
  const auto big = make_clusters(cpus(0, 4, {.max_mhz = 2000, .design = "Cortex-A720"}) +
                                 cpus(4, 4, {.max_mhz = 3250, .design = "Cortex-X4"}));
  EXPECT_FALSE(big[1].little);
  EXPECT_EQ(decode_threads(big, {0, 1, 2, 3, 4, 5, 6, 7}, std::nullopt).count, 8);
}

TEST(Cores, ALittleDesignAloneIsNotLittle) {
  const auto clusters =
      make_clusters(cpus(0, 8, {.max_mhz = 2000, .design = "Cortex-A53", .little_design = true}));
  ASSERT_EQ(clusters.size(), 1U);
  EXPECT_FALSE(clusters[0].little);
  EXPECT_EQ(decode_threads(clusters, clusters[0].cpus, std::nullopt).count, 8);
}

TEST(Cores, ALittleDesignWithAHigherClockIsNotTheStrongest) {
  const auto clusters =
      make_clusters(cpus(0, 4, {.max_mhz = 2000, .design = "Cortex-A75"}) +
                    cpus(4, 4, {.max_mhz = 2100, .design = "Cortex-A55", .little_design = true}));
  EXPECT_EQ(clusters[0].design, "Cortex-A75");
  EXPECT_TRUE(clusters[1].little);
}

TEST(Cores, ThreadsOnBigCoresOnly) {
  const auto clusters = make_clusters(cpus(0, 4, {.capacity = 300}) + cpus(4, 4, {.capacity = 1024}));
  const auto all = decode_threads(clusters, {0, 1, 2, 3, 4, 5, 6, 7}, std::nullopt);
  EXPECT_EQ(all.count, 4);
  EXPECT_THAT(all.reason, HasSubstr("4 big cores; 4 little cores would make them wait"));
  EXPECT_EQ(decode_threads(clusters, {0, 1, 2, 3, 5}, std::nullopt).count, 1);
  const auto background = decode_threads(clusters, {0, 1, 2}, std::nullopt);
  EXPECT_EQ(background.count, 3);
  EXPECT_THAT(background.reason, HasSubstr("run on 3 little cores only"));
  EXPECT_EQ(decode_threads({}, {}, std::nullopt).count, 1);
}

TEST(Cores, TheQuotaLimitsThreads) {
  const auto clusters = make_clusters(cpus(0, 8, {}));
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(decode_threads(clusters, all, 2.9).count, 2);
  EXPECT_THAT(decode_threads(clusters, all, 2.9).reason, HasSubstr("2.9 cores' worth"));
  EXPECT_EQ(decode_threads(clusters, all, 0.1).count, 1);
  EXPECT_EQ(decode_threads(clusters, all, 1e300).count, 8);
}

TEST(Cores, OneThreadForTwoThatShareACore) {
  std::vector<Cpu> shared = cpus(0, 4, {});
  shared[1].core = 0;
  shared[3].core = 2;
  const auto clusters = make_clusters(shared);
  EXPECT_EQ(clusters[0].cores, 2);
  EXPECT_EQ(decode_threads(clusters, {0, 1, 2, 3}, std::nullopt).count, 2);
  EXPECT_EQ(decode_threads(clusters, {1}, std::nullopt).count, 1);
}

TEST(Cores, NoneAreNone) { EXPECT_THAT(make_clusters({}), IsEmpty()); }

TEST(Cores, OfThisMachine) {
  const CoreFacts facts = read_cores();
  EXPECT_GE(facts.decode.count, 1);
  EXPECT_GE(facts.allowed.size(), 1U);
}

TEST(Processor, FeaturesThatAllCoresHave) {
  const Cpuinfo info = parse_cpuinfo(
      "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\nCPU part\t: 0xd46\n\n"
      "processor\t: 1\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x51\nCPU part\t: "
      "0x804\n\nHardware\t: "
      "Qualcomm SM8150\n");
  EXPECT_THAT(features_that_matter(info.features), ElementsAre("dotprod"));
  ASSERT_EQ(info.cores.size(), 2U);
  EXPECT_EQ(core_design(info.cores[0].implementer, info.cores[0].part)->name, "Cortex-A510");
  EXPECT_TRUE(core_design(info.cores[0].implementer, info.cores[0].part)->little);
  EXPECT_EQ(core_design(info.cores[1].implementer, info.cores[1].part)->name, "Kryo 4xx Gold");
  EXPECT_EQ(info.hardware, "Qualcomm SM8150");
  EXPECT_FALSE(core_design(0x41, 0xfff));
}

TEST(Processor, SurvivesGarbage) {
  for (const char* text :
       {"", ":", ": :\n:", "processor", "processor: -1\nprocessor: 4096\nprocessor: 99999999999999",
        "CPU part: 0xd46\nCPU implementer: zz", "Features:", "\n\n\n"}) {
    const Cpuinfo info = parse_cpuinfo(text);
    EXPECT_THAT(info.cores, IsEmpty()) << text;
    EXPECT_THAT(info.features, IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace caravan::device
