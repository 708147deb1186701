#include "device/speed.h"

#include <limits>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "device/fixture.h"

namespace caravan::device {
namespace {

using namespace std::chrono_literals;

const ProcessorLimits kUnknown;

Speed example() {
  Speed speed;
  speed.engine_build = "de3ff81-rpc7.0.0-0ec091abd0dd";
  speed.ggml = "0.25.1";
  speed.measured_at = WallTime(1'700'000'000s);
  speed.temperature = 31.5;
  speed.cpu_quota = 1.5;
  speed.threads = {1, 4};
  speed.measurements = {{Quantity::memory, "", "", 1, 1, 1e10, mebibytes(96), 1},
                        {Quantity::decode, "q4_K", "plain", 1, 1, 8e9, mebibytes(96), 0.99},
                        {Quantity::decode, "q4_K", "CPU_REPACK", 1, 1, 9e9, mebibytes(96), 0.99},
                        {Quantity::prefill, "q4_K", "plain", 4, 512, 5e10, mebibytes(2), 1}};
  return speed;
}

TEST(Speed, FindsExactlyWhatWasMeasured) {
  const Speed speed = example();
  EXPECT_EQ(speed.rate(Quantity::decode, "q4_K", true, 1, 1), 8e9);
  EXPECT_EQ(speed.rate(Quantity::decode, "q4_K", false, 1, 1), 9e9);
  EXPECT_EQ(speed.rate(Quantity::memory, "", true, 1, 1), 1e10);
  EXPECT_EQ(speed.rate(Quantity::decode, "q4_K", true, 4, 1), std::nullopt);
  EXPECT_EQ(speed.rate(Quantity::prefill, "q4_K", true, 4, 64), std::nullopt);
  EXPECT_EQ(speed.rate(Quantity::decode, "q6_K", true, 1, 1), std::nullopt);
}

TEST(Speed, SurvivesTheDisk) {
  const auto folder = TemporaryFolder::make("caravan-speed-test").value();
  const fs::path path = folder.path() / "new folder" / "speed.json";
  EXPECT_EQ(load_speed(path).error().code, Code::not_found);
  ASSERT_TRUE(save_speed(path, example()).ok());
  const auto read = load_speed(path);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(example()));
  Speed cold = example();
  cold.temperature.reset();
  cold.quick = true;
  ASSERT_TRUE(save_speed(path, cold).ok());
  EXPECT_EQ(load_speed(path)->temperature, std::nullopt);
  EXPECT_TRUE(load_speed(path)->quick);
}

TEST(Speed, RefusesWhatItCannotUseAndSaysWhatToDo) {
  const auto folder = TemporaryFolder::make("caravan-speed-test").value();
  const fs::path path = folder.path() / "speed.json";
  const auto refused = [&](const std::string& content) {
    EXPECT_TRUE(write_file_atomically(path, content).ok());
    const auto read = load_speed(path);
    EXPECT_FALSE(read.ok()) << content;
    if (read.ok()) return Code::bug;
    EXPECT_NE(read.error().message.find("speed.json"), std::string::npos);
    EXPECT_NE(read.error().hint.find("caravan calibrate"), std::string::npos);
    return read.error().code;
  };
  EXPECT_EQ(refused(""), Code::invalid);
  EXPECT_EQ(refused(R"({"version": 1, "engine_b)"), Code::invalid);
  EXPECT_EQ(refused("[]"), Code::invalid);
  EXPECT_EQ(refused(R"({"version": 2, "all": "new"})"), Code::incompatible);
  for (const auto& [field, bad] :
       std::map<std::string, Json>{{"engine_build", 7},
                                   {"measured_at", -1},
                                   {"temperature", "warm"},
                                   {"cpu_quota", 0},
                                   {"threads", Json::array({4, 1})},
                                   {"threads ", nullptr},
                                   {"measurements", Json::array({Json::object()})}}) {
    Json value = to_json(example());
    if (field.back() == ' ') {
      value.erase("threads");
    } else {
      value[field] = bad;
    }
    EXPECT_EQ(refused(value.dump()), Code::invalid) << field;
  }
  Json crowded = to_json(example());
  for (int i = 0; i < 1000; ++i) crowded["measurements"].push_back(crowded["measurements"][0]);
  EXPECT_EQ(refused(crowded.dump()), Code::invalid);
}

TEST(Speed, IsRefreshedForAReason) {
  const Speed speed = example();
  EXPECT_EQ(needs_refresh(speed, speed.engine_build, kUnknown, speed.measured_at + 1h), std::nullopt);
  EXPECT_EQ(needs_refresh(speed, speed.engine_build, kUnknown, speed.measured_at + kSpeedAge), std::nullopt);
  EXPECT_NE(needs_refresh(speed, "other", kUnknown, speed.measured_at)->find("other"), std::string::npos);
  EXPECT_NE(needs_refresh(speed, speed.engine_build, kUnknown, speed.measured_at + kSpeedAge + 25h)
                ->find("91 days"),
            std::string::npos);
  EXPECT_NE(needs_refresh(speed, speed.engine_build, kUnknown, speed.measured_at - 48h)->find("future"),
            std::string::npos);
}

TEST(Speed, DisturbedIsGoodForAnHour) {
  Speed speed = example();
  EXPECT_DOUBLE_EQ(least_share(speed), 0.99);
  speed.measurements.back().share = 0.5;
  EXPECT_DOUBLE_EQ(least_share(speed), 0.5);
  EXPECT_EQ(needs_refresh(speed, speed.engine_build, kUnknown, speed.measured_at + 59min), std::nullopt);
  EXPECT_NE(needs_refresh(speed, speed.engine_build, kUnknown, speed.measured_at + 1h)->find("busy"),
            std::string::npos);
  EXPECT_DOUBLE_EQ(least_share(Speed{}), 1);
}

/// Measured on four cores without a limit.
Speed on_four_cores() {
  Speed speed = example();
  speed.cpu_quota.reset();
  speed.usable_cpus = speed.usual_threads = 4;
  return speed;
}

std::string why(const Speed& speed, const ProcessorLimits& limits, std::chrono::seconds later = kLimitsAge) {
  return needs_refresh(speed, speed.engine_build, limits, speed.measured_at + later).value_or("");
}

TEST(Speed, IsRefreshedWhenLessOrMoreOfTheProcessorMayBeUsed) {
  Speed speed = on_four_cores();
  EXPECT_EQ(why(speed, {4, std::nullopt, 4}), "");
  EXPECT_EQ(why(speed, {2, std::nullopt, 2}), "it was measured when 4 cores could be used, now there are 2");
  EXPECT_EQ(why(speed, {4, 1.5, 1}),
            "it was measured when 4.0 cores' worth of time could be used, now 1.5 can");
  EXPECT_EQ(why(speed, {4, std::nullopt, 2}),
            "it was measured when 4 threads were best for this processor, now 2 are");
  speed.cpu_quota = 1.5;
  speed.usual_threads = 1;
  EXPECT_EQ(why(speed, {4, 1.5, 1}), "");
  EXPECT_NE(why(speed, {4, 3.0, 3}).find("now 3.0 can"), std::string::npos);
  EXPECT_NE(why(speed, {4, std::nullopt, 4}).find("now 4.0 can"), std::string::npos) << "the limit is gone";
}

TEST(Speed, IsNotRefreshedForLittle) {
  Speed speed = on_four_cores();
  EXPECT_EQ(why(speed, {4, 3.7, 4}), "") << "within a tenth";
  EXPECT_EQ(why(speed, {4, 64.0, 4}), "") << "a limit above what there is limits nothing";
  EXPECT_EQ(why(speed, {2, 0.5, 1}, kLimitsAge - 1s), "") << "what comes and goes is not run after";
}

TEST(Speed, MeasuredBecauseOfAnswersIsGoodForADay) {
  Speed speed = on_four_cores();
  speed.departed = true;
  EXPECT_EQ(why(speed, kUnknown, 23h), "");
  EXPECT_NE(why(speed, kUnknown, 24h).find("answers were not as planned"), std::string::npos);
  EXPECT_TRUE(speed_from_json(Json::parse(dump_json(to_json(speed))))->departed);
}

TEST(Speed, OfOlderFilesTheProcessorsLimitsAreNotKnown) {
  Speed speed = on_four_cores();
  const auto sent = [](const Json& json) { return speed_from_json(Json::parse(dump_json(json))); };
  Json old = to_json(speed);
  old.erase("usable_cpus");
  old.erase("usual_threads");
  const auto read = sent(old);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(why(*read, {1, 0.5, 1}), "");
  EXPECT_EQ(why(speed, kUnknown), "") << "and where the system does not tell them";
  const auto again = sent(to_json(speed));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->usable_cpus, 4);
  EXPECT_EQ(again->usual_threads, 4);
}

TEST(Speed, TheProcessorsLimitsAreThoseOfItsCores) {
  const ProcessorLimits container = limits_of(read_cores(fixture_folder("container-cgroup-v2")));
  EXPECT_EQ(container.usable_cpus, 6);
  EXPECT_EQ(container.cpu_quota, 3.5);
  EXPECT_EQ(container.usual_threads, 3);
  Speed speed = on_four_cores();
  speed.usable_cpus = 6;
  EXPECT_NE(why(speed, container).find("now 3.5 can"), std::string::npos);
}

TEST(SpeedWatch, NoticesOnlyALastingDeparture) {
  SpeedWatch watch;
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(watch.departs(i % 2 == 0 ? 81 : 119, 100)) << "within 20 %";
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(watch.departs(70, 100));
  EXPECT_FALSE(watch.departs(95, 100)) << "one good answer starts the count again";
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(watch.departs(70, 100));
  EXPECT_TRUE(watch.departs(70, 100));
  EXPECT_FALSE(watch.departs(70, 100)) << "counts from zero afterwards";
}

TEST(SpeedWatch, SlowerAndFasterAreCountedApart) {
  SpeedWatch watch({.departure = 0.5, .answers = 2});
  EXPECT_FALSE(watch.departs(10, 100));
  EXPECT_FALSE(watch.departs(200, 100));
  EXPECT_FALSE(watch.departs(10, 100));
  EXPECT_FALSE(watch.departs(200, 100));
  EXPECT_TRUE(watch.departs(200, 100));
}

TEST(SpeedWatch, IgnoresWhatIsNoSpeed) {
  SpeedWatch watch({.departure = 0.2, .answers = 1});
  const double infinite = std::numeric_limits<double>::infinity();
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {0.0, -1.0, infinite, nothing}) {
    EXPECT_FALSE(watch.departs(bad, 100));
    EXPECT_FALSE(watch.departs(100, bad));
  }
}

}  // namespace
}  // namespace caravan::device
