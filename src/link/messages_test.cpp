#include "link/messages.h"

#include <gtest/gtest.h>

namespace caravan::link {
namespace {

/// Golden bytes of version 1: what another build of Caravan sends. They never change.
struct Golden {
  const char* text;
  std::size_t alternative;
};
constexpr const char* kHelloV1 =
    R"({"capabilities":["rpc","fabric"],"device":"mfrggzdfmztwq2lkmfrggzdfmztwq2lk","engine":"b1250","instance":"9f",)"
    R"("membership":7,"name":"pixel-6","protocol":1,"type":"hello","v":1})";
const std::vector<Golden>& golden() {
  static const std::vector<Golden> all{
      {kHelloV1, 0},
      {R"({"capabilities":[],"device":"d","engine":"","instance":"i","membership":0,"name":"n","protocol":1,)"
       R"("type":"welcome","v":1})",
       1},
      {R"({"code":"incompatible","hint":"h","message":"m","type":"refused","v":1})", 2},
      {R"({"sequence":12,"type":"ping","v":1})", 3},
      {R"({"sequence":12,"type":"pong","v":1})", 4},
      {R"({"target":"rpc","token":"0123abcd","type":"dial_back","v":1})", 5},
      {R"({"about":"dance","code":"not_found","hint":"h","message":"m","type":"error","v":1})", 6},
      {R"({"body":{"a":[1,2]},"name":"membership","type":"payload","v":1})", 7},
      {R"({"type":"dance","v":1})", 8}};
  return all;
}

Hello hello_of(std::string name, std::string engine) {
  Hello hello;
  hello.device = "id-of-" + name;
  hello.name = std::move(name);
  hello.instance = "1";
  hello.engine = std::move(engine);
  return hello;
}

std::string with(std::string_view text, const char* field, const Json& value) {
  Json json = Json::parse(text);
  json[field] = value;
  return json.dump();
}

TEST(LinkMessages, GoldenBytesGoThereAndBack) {
  ASSERT_EQ(golden().size(), std::variant_size_v<Message>);
  for (const Golden& one : golden()) {
    const auto message = decode_message(one.text);
    ASSERT_TRUE(message.ok()) << one.text << ": " << message.error().message;
    EXPECT_EQ(message->index(), one.alternative) << one.text;
    EXPECT_EQ(encode_message(*message), one.text);
  }
}

TEST(LinkMessages, FieldsArriveWhereTheyBelong) {
  const auto message = decode_message(kHelloV1);
  ASSERT_TRUE(message.ok());
  const Hello& hello = std::get<Hello>(*message);
  EXPECT_EQ(hello.protocol, 1);
  EXPECT_EQ(hello.device, "mfrggzdfmztwq2lkmfrggzdfmztwq2lk");
  EXPECT_EQ(hello.name, "pixel-6");
  EXPECT_EQ(hello.instance, "9f");
  EXPECT_EQ(hello.engine, "b1250");
  EXPECT_EQ(hello.capabilities, (std::vector<std::string>{"rpc", "fabric"}));
  EXPECT_EQ(hello.membership, 7U);
}

TEST(LinkMessages, UnknownFieldsAndLaterVersionsOfAMessageAreRead) {
  for (const Golden& one : golden()) {
    const auto message = decode_message(with(with(one.text, "v", 2), "something_new", {1, 2}));
    ASSERT_TRUE(message.ok()) << one.text;
    EXPECT_EQ(message->index(), one.alternative);
  }
}

TEST(LinkMessages, WrongOnesAreInvalidAndSayWhy) {
  const std::string ping = golden()[3].text;
  const std::string dial = golden()[5].text;
  const std::string payload = golden()[7].text;
  for (const std::string& wrong : {std::string(),
                                   std::string("null"),
                                   std::string("[]"),
                                   std::string("{"),
                                   std::string("{}"),
                                   std::string(R"({"type":"ping"})"),
                                   std::string(R"({"type":7,"v":1})"),
                                   std::string(R"({"type":"","v":1})"),
                                   with(ping, "v", 0),
                                   with(ping, "v", "1"),
                                   with(ping, "sequence", -1),
                                   with(ping, "sequence", nullptr),
                                   with(ping, "type", std::string(65, 'x')),
                                   with(dial, "token", ""),
                                   with(dial, "target", std::string(65, 'x')),
                                   with(payload, "name", ""),
                                   std::string(R"({"type":"payload","v":1,"name":"n"})"),
                                   with(kHelloV1, "device", ""),
                                   with(kHelloV1, "name", std::string(65, 'x')),
                                   with(kHelloV1, "capabilities", "rpc"),
                                   with(kHelloV1, "capabilities", {1}),
                                   with(kHelloV1, "capabilities", Json::array({std::string(65, 'x')})),
                                   with(kHelloV1, "capabilities", std::vector<std::string>(65, "x")),
                                   with(kHelloV1, "protocol", "1"),
                                   std::string(1000, '[')}) {
    const auto message = decode_message(wrong);
    ASSERT_FALSE(message.ok()) << wrong;
    EXPECT_EQ(message.error().code, Code::invalid);
    EXPECT_FALSE(message.error().message.empty());
  }
}

TEST(LinkMessages, AMessageOverOneMebibyteIsRefusedUnparsed) {
  Payload payload{"state", std::string(kMaxMessageBytes - 100, 'x')};
  EXPECT_TRUE(decode_message(encode_message(payload)).ok());
  payload.body = std::string(kMaxMessageBytes, 'x');
  const auto refused = decode_message(encode_message(payload));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::invalid);
}

TEST(LinkMessages, AHelloOfAnotherProtocolIsReadFarEnoughToExplainIt) {
  const auto message = decode_message(R"({"type":"hello","v":9,"protocol":2,"name":"pixel-9"})");
  ASSERT_TRUE(message.ok()) << message.error().message;
  const auto compared = compare_hello(hello_of("board", "b1"), std::get<Hello>(*message));
  ASSERT_FALSE(compared.ok());
  EXPECT_EQ(compared.error().code, Code::incompatible);
  EXPECT_EQ(compared.error().message, "pixel-9 speaks link protocol 2, this cluster 1");
  EXPECT_EQ(compared.error().hint, "update Caravan on board");
}

TEST(LinkMessages, AnotherEngineBuildIsRefusedWithTheCure) {
  const auto compared = compare_hello(hello_of("board", "b1250"), hello_of("pixel-6", "b1234"));
  ASSERT_FALSE(compared.ok());
  EXPECT_EQ(compared.error().code, Code::incompatible);
  EXPECT_EQ(compared.error().message, "pixel-6 runs engine b1234, this cluster b1250");
  EXPECT_EQ(compared.error().hint, "run `./run build` there");
}

TEST(LinkMessages, SameBuildsAndDevicesWithoutAnEngineMayLink) {
  EXPECT_TRUE(compare_hello(hello_of("a", "b1"), hello_of("b", "b1")).ok());
  EXPECT_TRUE(compare_hello(hello_of("a", "b1"), hello_of("b", "")).ok());
  EXPECT_TRUE(compare_hello(hello_of("a", ""), hello_of("b", "b1")).ok());
}

TEST(LinkMessages, NamesOfOthersCannotPaintTheTerminal) {
  const auto compared = compare_hello(hello_of("board", "b1"), hello_of("\x1b[31mred", "b\n2"));
  ASSERT_FALSE(compared.ok());
  for (const char c : compared.error().message) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
}

}  // namespace
}  // namespace caravan::link
