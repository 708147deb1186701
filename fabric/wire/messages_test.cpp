#include <gtest/gtest.h>

#include "fabric/wire/golden.h"

namespace caravan::fabric {
namespace {

using testing::frame_of;

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4U];
    text += kDigits[static_cast<unsigned char>(c) & 0xfU];
  }
  return text;
}

/// All messages, in the order of kGolden.
std::vector<std::string> all_frames() {
  std::vector<std::string> frames = testing::greeting_frames(Role::peer);
  for (const auto& more : {testing::command_frames(), testing::answer_frames()})
    frames.insert(frames.end(), more.begin(), more.end());
  frames.push_back(testing::hand_off_frame());
  return frames;
}

/// Golden bytes of version 2: what another build of Caravan sends. They never change.
const std::vector<std::string>& golden() {
  static const std::vector<std::string> all{
      "3a00000001000000"
      "435256460200020300000077000000000000000102030405060708090a0b0c0d0e0f10111213141516171819"
      "1a1b1c1d1e1f2005006231323530",
      "2000000002000000"
      "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
      "1400000010000000"
      "0100000002000000030000007700000000000000",
      "3400000011000000"
      "02000000808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f0e003132372e302e"
      "302e313a34303132",
      "0c00000012000000"
      "010000000504030201000000",
      "0400000013000000"
      "01000000",
      "1000000014000000"
      "01000000020000000000000064617461",
      "1e00000015000000"
      "010000000200000000000000030000000400000000000000616263646566",
      "1500000016000000"
      "0100000002000000000000000300000000000000ff",
      "2000000017000000"
      "0100000002000000000000000300000000000000040000000500000000000000",
      "3000000018000000"
      "0100000002000000000000000800000020000000000000004000000000000000010000000000000001000000"
      "00000000",
      "080000001a000000"
      "0700000000000000",
      "080000001b000000"
      "8877665544332211",
      "180000001c000000"
      "090000000100000002000000000000000300000000000000",
      "210000001d000000"
      "550000000000000002000000010100000002000000000000000300000000000000",
      "200000001e000000"
      "5500000000000000010000000100000002000000000000000300000000000000",
      "380000001f000000"
      "06000000010000000200000000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b"
      "2c2d2e2f0400000000000000",
      "0400000020000000"
      "08000000",
      "1100000021000000"
      "0600000002000000000000000064617461",
      "1d00000021000000"
      "0600000002000000000000000263646266616563b7b7b7b7b7b7b70700",
      "0500000023000000"
      "0800000002",
      "0400000024000000"
      "08000000",
      "0400000025000000"
      "f4010000",

      "2c00000026000000"
      "5500000000000000070000000000000005000000000000000100000004000000000000000800000000000000",
      "8701000019000000"
      "0b0a000000000000000000000000000002000000040000000400000000000000ff0100001d00100000000100"
      "0000020000000001000000000000030000000000000002000000000000000100000000000000010000000000"
      "000004000000000000000c00000000000000180000000000000018000000000000000200000000ffffffff02"
      "020000000300000001000000790300002400020000000c010000000000000300000000000000010000000000"
      "00000100000000000000010000000000000004000000000000000c000000000000000c000000000000000c00"
      "0000000000000100000000000000000c00000000000000020000006800010000000500000000000000030000"
      "000000000001000000000000000100000000000000040000000000000014000000000000003c000000000000"
      "003c000000000000000300000068000100000005000000000000000200000000000000010000000000000001"
      "00000000000000040000000000000014000000000000003c000000000000003c00000000000000",
      "3600000019000000"
      "0c0a0000000000000b0a00000000000002000000040000000100000001000000100200010000000000000000"
      "00000000000000000000",
      "3b00000003000000"
      "040000000100000003004350550b00612070726f636573736f72000100000000000000020000000000000040"
      "000000000000000300000000000000",
      "1000000040000000"
      "09000000010000000000000064617461",
      "2000000041000000"
      "0800000002000000060000000000000000000000070000000900000000000000",
      "3100000043000000"
      "080000006400000000000000010000000000000001000000020a000000000000001400000000000000550000"
      "0000000000",
      "1400000044000000"
      "0800000001000000000000000200000000000000",
      "1400000045000000"
      "0501000000120005006361757365040063757265",
      "0400000046000000"
      "03000000",
      "1d00000060000000"
      "5500000000000000060000000000000002000000000000000264617461",
  };
  return all;
}

TEST(FabricMessages, BytesAreTheGoldenOnes) {
  const auto frames = all_frames();
  ASSERT_EQ(frames.size(), golden().size());
  for (std::size_t i = 0; i < frames.size(); ++i) EXPECT_EQ(hex(frames[i]), golden()[i]) << i;
}

/// Reads a frame and writes it again.
struct Again {
  std::string bytes;
  template <typename M>
  Result<void> operator()(const M& message) {
    append_message(bytes, message);
    return {};
  }
};

std::string read_and_written(const std::string& frame, Expecting expecting) {
  const auto header = read_header(std::string_view(frame).substr(0, kHeaderBytes), expecting);
  if (!header) return header.error().message;
  const auto payload = std::string_view(frame).substr(kHeaderBytes);
  if (header->payload_bytes != payload.size()) return "another size";
  Again again;
  const auto read = [&]() -> Result<void> {
    if (header->type == Type::graph) return {};
    if (header->type == Type::hello || header->type == Type::proof || expecting.from == Role::worker)
      return Answers::read(header->type, payload, again);
    if (expecting.from == Role::peer) return HandOffs::read(header->type, payload, again);
    return Commands::read(header->type, payload, again);
  }();
  return read ? again.bytes : read.error().message;
}

TEST(FabricMessages, EveryMessageGoesThereAndBack) {
  for (const auto& frame : testing::greeting_frames(Role::master))
    EXPECT_EQ(hex(read_and_written(frame, {Role::master, false})), hex(frame));
  auto commands = testing::command_frames();
  commands.resize(commands.size() - 2);  // the graphs have a test of their own
  for (const auto& frame : commands)
    EXPECT_EQ(hex(read_and_written(frame, {Role::master, true})), hex(frame));
  for (const auto& frame : testing::answer_frames())
    EXPECT_EQ(hex(read_and_written(frame, {Role::worker, true})), hex(frame));
  EXPECT_EQ(hex(read_and_written(testing::hand_off_frame(), {Role::peer, true})),
            hex(testing::hand_off_frame()));
}

TEST(FabricMessages, CutAndLongerOnesAreRefused) {
  auto commands = testing::command_frames();
  commands.resize(commands.size() - 2);
  for (const auto& frame : commands) {
    const Type type = read_header(frame.substr(0, kHeaderBytes), {Role::master, true})->type;
    const std::string payload = frame.substr(kHeaderBytes);
    Again again;
    // Data is whatever is left: no length of it is wrong.
    const bool open_ended = type == Type::set || type == Type::stream || type == Type::set_rows;
    EXPECT_FALSE(Commands::read(type, payload.substr(0, open_ended ? 3 : payload.size() - 1), again).ok())
        << name_of(type);
    if (!open_ended) {
      EXPECT_FALSE(Commands::read(type, payload + "x", again).ok()) << name_of(type);
    }
  }
}

TEST(FabricMessages, ValuesThatCannotBeAreRefused) {
  const auto refused = [](const auto& message) {
    Again again;
    const std::string frame = frame_of(message);
    const auto payload = std::string_view(frame).substr(kHeaderBytes);
    return !Commands::read(message.kType, payload, again) && !Answers::read(message.kType, payload, again) &&
           !HandOffs::read(message.kType, payload, again);
  };
  Hello hello;
  hello.magic = 1;
  EXPECT_TRUE(refused(hello));
  EXPECT_TRUE(refused(Open{kMaxStages, 0, 0, 0}));
  EXPECT_TRUE(refused(Open{0, 0, kMaxThreads + 1, 0}));
  EXPECT_TRUE(refused(Alloc{1, kMaxBufferBytes + 1}));
  EXPECT_TRUE(refused(SetRows{1, 0, 0, 4, "ab"}));
  EXPECT_TRUE(refused(SetRows{1, 0, 2, 1, "ab"}));
  EXPECT_TRUE(refused(SetRows{1, 0, 2, 2, "abc"}));
  for (const int packing : {1, 3, 5})
    EXPECT_TRUE(refused(Stream{1, 0, static_cast<Packing>(packing), "data"}));
  EXPECT_TRUE(refused(HandOff{1, 3, 0, Format::as_is, "abcd"}));
  EXPECT_TRUE(refused(HandOff{1, ~std::uint64_t{0}, 0, Format::as_is, "abcd"}));
  EXPECT_TRUE(refused(HandOff{1, 3, ~std::uint64_t{0}, Format::as_is, ""}));
  EXPECT_TRUE(refused(Pulse{1}));
  EXPECT_TRUE(refused(Reduce{1, 0, 0, {1, 0, 8}}));
  EXPECT_TRUE(refused(Reduce{1, 3, 4, {1, 0, 8}}));
  EXPECT_TRUE(refused(Reduce{1, 3, 3, {1, 0, 6}}));
  EXPECT_TRUE(refused(Weight{kMaxWeights, 1, 0, {}}));
  EXPECT_TRUE(refused(Welcome{1, {{"CPU", "", DeviceKind::cpu, 1, 1, 48, 1}}}));
  EXPECT_TRUE(refused(Timeline{1, 0, 0, {{Doing::compute, 2, 1, 0}}}));
  EXPECT_TRUE(refused(Timeline{1, 0, 0, {{static_cast<Doing>(5), 1, 2, 0}}}));
}

TEST(FabricMessages, NoMemoryForAListThatIsNotThere) {
  std::string payload(8, '\0');
  payload[5] = '\x40';  // 16384 items
  Again again;
  EXPECT_FALSE(Answers::read(Type::missing, payload, again).ok());
}

TEST(FabricFrame, TheHeaderDecidesWhoMaySayWhatWhen) {
  const auto header = [](std::uint32_t size, Type type, std::uint16_t flags = 0) {
    std::string bytes;
    FieldWriter writer(bytes);
    writer.number(size);
    writer.number(static_cast<std::uint16_t>(type));
    writer.number(flags);
    return bytes;
  };
  EXPECT_TRUE(read_header(header(60, Type::hello), {Role::master, false}).ok());
  EXPECT_FALSE(read_header(header(60, Type::hello), {Role::master, true}).ok());
  EXPECT_FALSE(read_header(header(12, Type::alloc), {Role::master, false}).ok());
  EXPECT_TRUE(read_header(header(12, Type::alloc), {Role::master, true}).ok());
  EXPECT_FALSE(read_header(header(12, Type::alloc), {Role::peer, true}).ok());
  EXPECT_FALSE(read_header(header(12, Type::alloc), {Role::worker, true}).ok());
  EXPECT_FALSE(read_header(header(12, Type::alloc, 1), {Role::master, true}).ok());
  EXPECT_FALSE(read_header(header(65, Type::alloc), {Role::master, true}).ok());
  EXPECT_FALSE(read_header(header(kMaxPayload + 1, Type::graph), {Role::master, true}).ok());
  EXPECT_TRUE(read_header(header(kMaxPayload, Type::graph), {Role::master, true}).ok());
  EXPECT_FALSE(read_header(header(1, static_cast<Type>(300)), {Role::master, true}).ok());
  EXPECT_TRUE(read_header(header(30, Type::error), {Role::worker, false}).ok());
  EXPECT_TRUE(read_header(header(30, Type::error), {Role::worker, true}).ok());
  EXPECT_TRUE(read_header(header(30, Type::hand_off), {Role::peer, true}).ok());
  EXPECT_FALSE(read_header(header(30, Type::hand_off), {Role::master, true}).ok());
  EXPECT_FALSE(read_header("1234567", {Role::master, true}).ok());
}

TEST(FabricFrame, TextsAreCutAtTheirLimit) {
  const auto frame = frame_of(
      ErrorMessage{ErrorCode::bug, 0, 0, std::string(kMaxText + 9, 'm'), std::string(kMaxText + 9, 'h')});
  ASSERT_LE(frame.size() - kHeaderBytes, max_payload(Type::error));
  const auto message = read_message<ErrorMessage>(std::string_view(frame).substr(kHeaderBytes));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->hint, std::string(kMaxText, 'h'));
}

TEST(FabricMessages, ErrorsKeepTheirCode) {
  for (const Code code : {Code::invalid, Code::not_found, Code::unavailable, Code::disconnected,
                          Code::incompatible, Code::exhausted, Code::interrupted, Code::bug}) {
    EXPECT_EQ(to_error(to_message({code, "m", "h"}, 1, 2)).code, code);
  }
}

}  // namespace
}  // namespace caravan::fabric
