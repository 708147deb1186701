#include "lab/command.h"

#include <random>

#include <gtest/gtest.h>

namespace caravan::lab {
namespace {

using namespace std::chrono_literals;

template <typename T>
T parsed(std::string_view line) {
  const Result<Command> command = parse_command(line, 3);
  EXPECT_TRUE(command.ok()) << line << ": " << (command ? "" : command.error().message);
  return command ? std::get<T>(*command) : T{};
}

TEST(CommandTest, StatesOfAStation) {
  EXPECT_EQ(parsed<SetState>("vanish 2").state, StationState::vanished);
  EXPECT_EQ(parsed<SetState>("vanish 2").station, 1U);
  EXPECT_EQ(parsed<SetState>(" freeze  3\n").state, StationState::frozen);
  EXPECT_EQ(parsed<SetState>("restore 1").state, StationState::present);
}

TEST(CommandTest, SettingsOfOneOrAll) {
  const auto all = parsed<SetLink>("set rate=20.5 loss=0.01");
  EXPECT_EQ(all.station, std::nullopt);
  ASSERT_EQ(all.settings.size(), 2U);
  EXPECT_EQ(parsed<SetLink>("set 3 rate=20").station, 2U);
  const Result<Link> link = apply_settings(
      {}, parsed<SetLink>(
              "set rate=20.5 delay=2.5 jitter=1 overhead=0.2 loss=0.01 retry=0.1 queue=64K aggregate=9000")
              .settings);
  ASSERT_TRUE(link.ok());
  EXPECT_EQ(link->megabits, 20.5);
  EXPECT_EQ(link->delay, 2500us);
  EXPECT_EQ(link->jitter, 1ms);
  EXPECT_EQ(link->overhead, 200us);
  EXPECT_EQ(link->loss, 0.01);
  EXPECT_EQ(link->retry, 0.1);
  EXPECT_EQ(link->queue, Bytes{65536});
  EXPECT_EQ(link->aggregate, Bytes{9000});
}

TEST(CommandTest, OthersAreOneWord) {
  EXPECT_EQ(parsed<UseProfile>("profile wifi24").profile, find_profile("wifi24"));
  parsed<Stats>("stats");
  parsed<Stop>("stop");
}

TEST(CommandTest, WhatIsWrongIsNamed) {
  for (const auto& [line, cause] : std::vector<std::pair<std::string, std::string>>{
           {"", "''"},
           {"dance", "'dance'"},
           {"stats now", "'stats now'"},
           {"vanish", "which device"},
           {"vanish 1 2", "which device"},
           {"vanish 0", "no device '0'"},
           {"vanish 4", "no device '4'"},
           {"vanish 2x", "no device '2x'"},
           {"freeze -1", "no device '-1'"},
           {"set", "set what"},
           {"set 2", "set what"},
           {"set 9 rate=1", "no device '9'"},
           {"set rate=1 fast", "'fast' has no value"},
           {"set speed=1", "no setting 'speed'"},
           {"set rate=", "rate="},
           {"set rate=0", "out of range"},
           {"set rate=nan", "out of range"},
           {"set rate=1e400", "out of range"},
           {"set loss=1.5", "out of range"},
           {"set delay=-1", "out of range"},
           {"set queue=many", "many"},
           {"profile", "no profile ''"},
           {"profile wifi99", "no profile 'wifi99'"},
       }) {
    const Result<Command> command = parse_command(line, 3);
    ASSERT_FALSE(command.ok()) << line;
    EXPECT_EQ(command.error().code, Code::invalid);
    EXPECT_NE(command.error().message.find(cause), std::string::npos)
        << line << ": " << command.error().message;
    EXPECT_FALSE(command.error().hint.empty()) << line;
  }
}

TEST(CommandTest, GarbageIsRefusedOrUnderstoodButNeverACrash) {
  std::mt19937 random(11);
  const std::string alphabet = "set 0123456789.=-ratelossqueuedelayjitterfreezevanish \t\n\x01\xff";
  for (int i = 0; i < 20'000; ++i) {
    std::string line;
    for (std::size_t k = random() % 40; k > 0; --k) line += alphabet[random() % alphabet.size()];
    const Result<Command> command = parse_command(line, random() % 4);
    if (!command) {
      EXPECT_FALSE(command.error().message.empty());
    }
  }
}

}  // namespace
}  // namespace caravan::lab
