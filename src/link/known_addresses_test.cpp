#include "link/known_addresses.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace caravan::link {
namespace {

using testing::HasSubstr;

const std::string kOne = "aaaabbbbccccddddeeeeffff22223333";
const std::string kOther = "bbbbbbbbccccddddeeeeffff22223333";

std::vector<std::string> hosts(const KnownAddresses& all, const std::string& device) {
  std::vector<std::string> found;
  for (const KnownAddress& known : all.of(device)) found.push_back(known.address.host);
  return found;
}

std::string file_with(const std::string& address) {
  return fmt::format(R"({{"version": 1, "devices": [{{"id": "{}", "addresses": [{}]}}]}})", kOne, address);
}

TEST(KnownAddresses, TheOneUsedLastComesFirst) {
  KnownAddresses all;
  all.used(kOne, {"10.0.0.1", 7433}, 100);
  all.used(kOne, {"fe80::1%wlan0", 7433}, 200);
  all.used(kOther, {"10.0.0.9", 7433}, 150);
  EXPECT_THAT(hosts(all, kOne), testing::ElementsAre("fe80::1%wlan0", "10.0.0.1"));
  all.used(kOne, {"10.0.0.1", 7433}, 300);
  EXPECT_THAT(hosts(all, kOne), testing::ElementsAre("10.0.0.1", "fe80::1%wlan0"));
  all.forget(kOne, {"10.0.0.1", 7433});
  EXPECT_THAT(hosts(all, kOne), testing::ElementsAre("fe80::1%wlan0"));
  all.keep_only({kOther});
  EXPECT_THAT(hosts(all, kOne), testing::IsEmpty());
  EXPECT_EQ(all.size(), 1U);
}

TEST(KnownAddresses, SurviveARestart) {
  const auto folder = TemporaryFolder::make("caravan-addresses-").value();
  const fs::path path = folder.path() / "addresses.json";
  EXPECT_EQ(load_addresses(path).value().size(), 0U) << "a first start has none";
  KnownAddresses all;
  all.used(kOne, {"10.0.0.1", 7433}, 100);
  all.used(kOne, {"fe80::1%wlan0", 7434}, 100);
  all.used(kOther, {"192.168.1.4", 1}, 90);
  ASSERT_TRUE(save_addresses(path, all).ok());
  const auto back = load_addresses(path);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->json(), all.json());
  EXPECT_EQ(back->of(kOther).front().address, (LinkAddress{"192.168.1.4", 1}));
  EXPECT_EQ(fs::status(path).permissions() & fs::perms::others_read, fs::perms::none);
}

TEST(KnownAddresses, AreBounded) {
  KnownAddresses all;
  for (int i = 0; i < 1'000; ++i) {
    std::string id = fmt::format("{:032}", i);
    for (char& c : id) c = static_cast<char>('a' + (c - '0'));
    for (int j = 0; j < 20; ++j) {
      all.used(id, {fmt::format("10.0.0.{}", j), 7433}, static_cast<std::uint64_t>(1'000 + i));
    }
    EXPECT_EQ(all.of(id).size(), KnownAddresses::kMaxAddresses);
  }
  EXPECT_EQ(all.size(), KnownAddresses::kMaxDevices);
}

TEST(KnownAddresses, WhatIsWrongIsNamed) {
  EXPECT_TRUE(KnownAddresses::parse(file_with(R"({"host": "10.0.0.1", "port": 1})")).ok());
  for (const auto& [address, field] :
       std::vector<std::pair<std::string, std::string>>{{R"({"host": "example.org", "port": 1})", "host"},
                                                        {R"({"host": "10.0.0.1\n", "port": 1})", "host"},
                                                        {R"({"host": "fe80::1%a b", "port": 1})", "host"},
                                                        {R"({"host": "10.0.0.1", "port": 0})", "port"},
                                                        {R"({"host": "10.0.0.1", "port": 70000})", "port"},
                                                        {R"({"host": 7, "port": 1})", "host"}}) {
    const auto parsed = KnownAddresses::parse(file_with(address));
    ASSERT_FALSE(parsed.ok()) << address;
    EXPECT_THAT(parsed.error().message, HasSubstr(field));
  }
  EXPECT_FALSE(KnownAddresses::parse(R"({"version": 1, "devices": [{"id": "x", "addresses": []}]})").ok());
  EXPECT_FALSE(KnownAddresses::parse("[]").ok());
  EXPECT_FALSE(KnownAddresses::parse("{").ok());
  EXPECT_EQ(KnownAddresses::parse(R"({"version": 2, "devices": []})").error().code, Code::incompatible);
}

}  // namespace
}  // namespace caravan::link
