#include "link/beacon.h"

#include <gmock/gmock.h>

#include "base/files.h"

namespace caravan::link {
namespace {

using testing::HasSubstr;

Beacon golden() {
  Beacon beacon;
  beacon.device = "aaaabbbbccccddddeeeeffff22223333";
  beacon.cluster = {1, 2, 3, 4, 5, 6, 7, 8};
  beacon.link_port = 7433;
  beacon.pairing_open = true;
  beacon.name = "pixel 8";
  return beacon;
}

std::string hex_lines(const std::string& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    constexpr const char* kDigits = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(bytes[i]);
    text += i == 0 ? "" : i % 16 == 0 ? "\n    " : " ";
    text += kDigits[value >> 4U];
    text += kDigits[value & 15U];
  }
  return text;
}

std::string with_byte(const std::string& bytes, std::size_t at, int value) {
  std::string changed = bytes;
  changed.at(at) = static_cast<char>(value);
  return changed;
}

std::string with_name(const std::string& name) {
  std::string bytes = encode_beacon(golden()).value().substr(0, 48);
  bytes += static_cast<char>(name.size());
  return bytes + name;
}

TEST(Beacon, HasTheBytesThatTheProtocolSays) {
  const std::string bytes = encode_beacon(golden()).value();
  EXPECT_EQ(hex_lines(bytes),
            "43 52 56 4e 01 01 1d 09 61 61 61 61 62 62 62 62\n"
            "    63 63 63 63 64 64 64 64 65 65 65 65 66 66 66 66\n"
            "    32 32 32 32 33 33 33 33 01 02 03 04 05 06 07 08\n"
            "    07 70 69 78 65 6c 20 38");
  const auto page = read_file(fs::path(CARAVAN_SOURCE_DIR) / "docs" / "protocol-beacon.md", mebibytes(1));
  ASSERT_TRUE(page.ok()) << page.error().message;
  EXPECT_THAT(*page, HasSubstr(hex_lines(bytes)));
}

TEST(Beacon, ComesBackAsItWasSent) {
  Beacon nobody;
  nobody.device = std::string(32, '7');
  nobody.link_port = 65535;
  nobody.asks = true;
  nobody.name = "Küche 🦙";
  for (const Beacon& beacon : {golden(), nobody}) {
    const auto back = decode_beacon(encode_beacon(beacon).value());
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(*back, beacon);
  }
}

TEST(Beacon, ALaterVersionMayAddFieldsAndFlags) {
  const std::string bytes = encode_beacon(golden()).value();
  EXPECT_EQ(decode_beacon(bytes + std::string(400, 'x')).value(), golden());
  EXPECT_EQ(decode_beacon(with_byte(bytes, 5, 0xFD)).value(), golden());
}

TEST(Beacon, AnotherVersionIsToldFromNoise) {
  const std::string bytes = encode_beacon(golden()).value();
  EXPECT_EQ(decode_beacon(with_byte(bytes, 4, 2)).error().code, Code::incompatible);
  EXPECT_EQ(decode_beacon("CRVN\x02").error().code, Code::incompatible);
}

TEST(Beacon, WhatIsNoneIsRefused) {
  const std::string bytes = encode_beacon(golden()).value();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_beacon(bytes.substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(decode_beacon(bytes + std::string(kMaxBeaconBytes, 'x')).ok());
  EXPECT_FALSE(decode_beacon(with_byte(bytes, 0, 'X')).ok());
  EXPECT_FALSE(decode_beacon(with_byte(with_byte(bytes, 6, 0), 7, 0)).ok()) << "port 0";
  EXPECT_FALSE(decode_beacon(with_byte(bytes, 10, '1')).ok()) << "no base32";
  EXPECT_FALSE(decode_beacon(with_byte(bytes, 10, 'A')).ok()) << "upper case";
  EXPECT_FALSE(decode_beacon(with_byte(bytes, 48, 33)).ok()) << "a name that is too long";
  EXPECT_FALSE(decode_beacon(with_byte(bytes, 48, 8)).ok()) << "a name that is not all there";
}

TEST(Beacon, NamesCannotSpeakToATerminalOrHide) {
  EXPECT_TRUE(decode_beacon(with_name("")).ok());
  EXPECT_TRUE(decode_beacon(with_name("\xF0\x9F\xA6\x99")).ok());
  for (const char* bad : {"\x1b[2J", "a\nb", "\x7F",
                          "\xC2\x9B"
                          "1m",
                          "\xE2\x80\xAE"
                          "gpj",
                          "\xE2\x80\x8B", "\xEF\xBB\xBF", "\xFF", "\xC0\x80", "\xED\xA0\x80",
                          "\xF4\x90\x80\x80", "\xC3", "\xE2\x80"}) {
    EXPECT_FALSE(decode_beacon(with_name(bad)).ok()) << hex_lines(bad);
  }
}

TEST(Beacon, ANameThatIsTooLongIsCutBehindAWholeCharacter) {
  Beacon beacon = golden();
  beacon.name = std::string(31, 'a').append("ü and more");
  EXPECT_EQ(decode_beacon(encode_beacon(beacon).value()).value().name, std::string(31, 'a'));
  beacon.name = "good\x1b[2J";
  EXPECT_EQ(decode_beacon(encode_beacon(beacon).value()).value().name, "good");
}

TEST(Beacon, WhatNoDeviceCanBeIsNotSent) {
  Beacon beacon = golden();
  beacon.device = "short";
  EXPECT_EQ(encode_beacon(beacon).error().code, Code::bug);
  beacon = golden();
  beacon.link_port = 0;
  EXPECT_EQ(encode_beacon(beacon).error().code, Code::bug);
}

}  // namespace
}  // namespace caravan::link
