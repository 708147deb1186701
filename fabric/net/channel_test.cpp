#include "fabric/net/channel.h"

#include <poll.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric/net/testing.h"

namespace caravan::fabric {
namespace {

using testing::channel_pair;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(FabricAddress, IsNumericAndHasAPort) {
  for (const auto* text : {"127.0.0.1:65536", ":1", "127.0.0.1:", "127.0.0.1", "::1:5", "127.0.0.1:1x", "",
                           "127.0.0.1:-1", "127.0.0.1: 1", "localhost:1", "[::1:5", "[]:5", "a\033[31m:1"}) {
    const auto parsed = parse_address(text, "there");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::invalid);
    EXPECT_THAT(parsed.error().message, HasSubstr("there"));
    EXPECT_EQ(parsed.error().message.find('\033'), std::string::npos);
  }
  EXPECT_EQ(parse_address("[::1]:5")->port(), 5);
  EXPECT_EQ(parse_address("127.0.0.1:65535")->port(), 65535);
  EXPECT_EQ(parse_address("127.0.0.1:0")->port(), 0);
}

TEST(FabricAddress, OnlyLoopbackOnesAreListenedAtAndConnectedTo) {
  EXPECT_TRUE(Listener::open("127.0.0.1:0", Addresses::loopback).ok());
  for (const auto* address : {"0.0.0.0:0", "192.0.2.1:0", "localhost:0", "127.0.0.1", "[::]:0", ""})
    EXPECT_FALSE(Listener::open(address, Addresses::loopback).ok()) << address;
  const auto connected = Channel::connect("192.0.2.1:1", Addresses::loopback, Clock::now() + 10s);
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, Code::invalid);
}

TEST(FabricChannel, ConnectsAndCarriesBytesUntilTheEnd) {
  auto listener = Listener::open("127.0.0.1:0", Addresses::loopback);
  ASSERT_TRUE(listener.ok());
  EXPECT_FALSE(listener->accept()->get() >= 0) << "nobody is there yet, and it does not block";
  auto near = Channel::connect(listener->address(), Addresses::loopback, Clock::now() + 10s);
  ASSERT_TRUE(near.ok()) << near.error().message;
  pollfd one{listener->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&one, 1, 10000), 1);
  auto far = Channel::adopt(std::move(*listener->accept()));
  ASSERT_TRUE(far.ok());
  ASSERT_TRUE(near->write_all("abc", 10s).ok());
  near->finish_writing();
  std::string all(16, '?');
  std::size_t size = 0;
  auto got = far->read_some(all.data(), all.size(), nullptr);
  for (; got; got = far->read_some(all.data() + size, all.size() - size, nullptr)) size += *got;
  EXPECT_EQ(all.substr(0, size), "abc");
  EXPECT_EQ(got.error().code, Code::disconnected);
  EXPECT_EQ(got.error().message, "it closed the connection");
}

TEST(FabricChannel, NobodyThereIsAnErrorThatSaysWhere) {
  std::string address;
  {
    auto listener = Listener::open("127.0.0.1:0", Addresses::loopback);
    ASSERT_TRUE(listener.ok());
    address = listener->address();
  }
  const auto connected = Channel::connect(address, Addresses::loopback, Clock::now() + 10s);
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message, HasSubstr("connecting to " + address));
}

TEST(FabricChannel, ReadingAndWritingEndAtTheirTime) {
  auto [near, far] = channel_pair();
  char byte = 0;
  const SteadyTime now = Clock::now();
  const auto read = near.read_some(&byte, 1, &now);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::disconnected);
  EXPECT_EQ(read.error().message, "reading: no answer in time");
  const std::string much(std::size_t{16} << 20U, 'x');
  const auto written = near.write_all(much, 1ms);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, "writing: no answer in time");
  EXPECT_EQ(*near.write_some(much), 0U);
}

TEST(FabricChannel, ShuttingDownEndsAWait) {
  auto pair = channel_pair();
  std::thread later([&] { pair.first.shut_down(); });
  char byte = 0;
  EXPECT_FALSE(pair.first.read_some(&byte, 1, nullptr));
  later.join();
  EXPECT_FALSE(pair.second.read_some(&byte, 1, nullptr)) << "the other end sees it too";
}

}  // namespace
}  // namespace caravan::fabric
