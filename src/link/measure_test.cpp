#include "link/measure.h"

#include <functional>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "link/measure_frame.h"

namespace caravan::link {
namespace {

using asio::ip::tcp;
constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

MeasureLimits short_limits() {
  return {.round_trips = 5,
          .bandwidth_time = std::chrono::milliseconds(200),
          .bandwidth_bytes = Bytes{1U << 20U},
          .patience = std::chrono::milliseconds(10'000),
          .at_most = std::chrono::milliseconds(15'000)};
}

/// Two ends of a loopback connection on one loop, and what became of whoever sat at each.
struct Bench {
  Bench() {
    tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    left.connect(acceptor.local_endpoint());
    acceptor.accept(right);
  }

  void spawn(asio::awaitable<void> body) {
    ++running;
    asio::co_spawn(loop, std::move(body), [this](const std::exception_ptr& failure) {
      EXPECT_FALSE(failure);
      --running;
    });
  }
  void measure(MeasureLimits limits) {
    spawn([](Bench& self, MeasureLimits given) -> asio::awaitable<void> {
      self.speed = co_await measure_link(self.left, given);
    }(*this, limits));
  }
  void answer(MeasureLimits limits) {
    spawn([](Bench& self, MeasureLimits given) -> asio::awaitable<void> {
      self.answered = co_await answer_measuring(self.right, given);
    }(*this, limits));
  }
  /// The right end says these bytes and then, unless it `stays`, hangs up.
  void say(std::string bytes, bool stays) {
    spawn([](Bench& self, std::string text, bool waits) -> asio::awaitable<void> {
      co_await asio::async_write(self.right, asio::buffer(text), kUseResult);
      std::array<char, 4096> chunk{};
      for (bool open = waits; open;) {
        auto [failure, got] = co_await self.right.async_read_some(asio::buffer(chunk), kUseResult);
        self.heard += got;
        open = !failure;
      }
      self.right.close();
    }(*this, std::move(bytes), stays));
  }
  /// The left end says these bytes and then waits until it is hung up on.
  void ask(std::string bytes) {
    spawn([](Bench& self, std::string text) -> asio::awaitable<void> {
      co_await asio::async_write(self.left, asio::buffer(text), kUseResult);
      std::array<char, 4096> chunk{};
      for (bool open = true; open;) {
        auto [failure, got] = co_await self.left.async_read_some(asio::buffer(chunk), kUseResult);
        self.heard += got;
        open = !failure;
      }
    }(*this, std::move(bytes)));
  }
  void run() {
    loop.run_for(std::chrono::seconds(20));
    EXPECT_EQ(running, 0) << "somebody waits without end";
  }

  asio::io_context loop;
  tcp::socket left{loop};
  tcp::socket right{loop};
  int running = 0;
  std::size_t heard = 0;
  std::optional<Result<LinkSpeed>> speed;
  std::optional<Result<void>> answered;
};

std::string hello() {
  const std::array<std::uint64_t, 1> version{kMeasureVersion};
  return encode_frame(FrameKind::hello, encode_numbers(version));
}

std::string numbers(FrameKind kind, std::uint64_t first, std::uint64_t second) {
  const std::array<std::uint64_t, 2> both{first, second};
  return encode_frame(kind, encode_numbers(both));
}

TEST(MeasureLink, BothSidesAgreeAndTheConnectionStaysUsable) {
  Bench bench;
  bench.measure(short_limits());
  bench.answer(short_limits());
  bench.run();
  ASSERT_TRUE(bench.speed && bench.speed->ok()) << bench.speed->error().message;
  ASSERT_TRUE(bench.answered && bench.answered->ok()) << bench.answered->error().message;
  const LinkSpeed& speed = **bench.speed;
  EXPECT_GT(speed.round_trip_median.count(), 0);
  EXPECT_GE(speed.round_trip_p95, speed.round_trip_median);
  EXPECT_GT(speed.upload, 0);
  EXPECT_GT(speed.download, 0);
  EXPECT_TRUE(bench.left.is_open());
  EXPECT_TRUE(bench.right.is_open());
}

TEST(MeasureLink, ASilentPeerIsGivenUp) {
  MeasureLimits impatient = short_limits();
  impatient.patience = std::chrono::milliseconds(50);
  Bench bench;
  bench.measure(impatient);
  bench.say("", /*stays=*/true);
  bench.run();
  ASSERT_TRUE(bench.speed.has_value());
  ASSERT_FALSE(bench.speed->ok());
  EXPECT_EQ(bench.speed->error().code, Code::unavailable);
  EXPECT_FALSE(bench.left.is_open());
}

TEST(MeasureLink, APeerThatOnlyDripsIsGivenUpInTheEnd) {
  MeasureLimits limits = short_limits();
  limits.at_most = std::chrono::milliseconds(100);
  Bench bench;
  bench.measure(limits);
  bench.say(hello().substr(0, 7), /*stays=*/true);
  bench.run();
  ASSERT_TRUE(bench.speed.has_value());
  ASSERT_FALSE(bench.speed->ok());
  EXPECT_EQ(bench.speed->error().code, Code::unavailable);
}

TEST(MeasureLink, APeerThatHangsUpIsDisconnected) {
  Bench bench;
  bench.measure(short_limits());
  bench.say(hello(), /*stays=*/false);
  bench.run();
  ASSERT_TRUE(bench.speed.has_value());
  ASSERT_FALSE(bench.speed->ok());
  EXPECT_EQ(bench.speed->error().code, Code::disconnected);
}

TEST(MeasureLink, NonsenseIsRefused) {
  const std::array<std::uint64_t, 1> other{kMeasureVersion + 1};
  struct Case {
    std::string said;
    Code code;
  };
  for (const Case& bad : {Case{"HTTP/1.1 400 Bad Request\r\n", Code::invalid},
                          Case{std::string("\x03\xff\xff\xff\xff", 5), Code::invalid},
                          Case{encode_frame(FrameKind::hello, encode_numbers(other)), Code::incompatible},
                          Case{encode_frame(FrameKind::done, ""), Code::invalid},
                          Case{hello() + encode_frame(FrameKind::echo, "not what was sent"), Code::invalid},
                          Case{hello() + encode_frame(FrameKind::data, "data"), Code::invalid}}) {
    Bench bench;
    bench.measure(short_limits());
    bench.say(bad.said, /*stays=*/true);
    bench.run();
    ASSERT_TRUE(bench.speed.has_value());
    ASSERT_FALSE(bench.speed->ok());
    EXPECT_EQ(bench.speed->error().code, bad.code) << bench.speed->error().message;
    EXPECT_FALSE(bench.left.is_open());
  }
}

TEST(MeasureLink, APeerThatClaimsTooMuchIsRefused) {
  MeasureLimits limits = short_limits();
  limits.round_trips = 0;
  for (const std::string& lie :
       {numbers(FrameKind::received, 1ULL << 40U, 5), numbers(FrameKind::received, 1000, 5) + [&] {
          std::string flood;
          const std::string frame = encode_frame(FrameKind::data, std::string(60'000, 'x'));
          for (int i = 0; i < 30; ++i) flood += frame;
          return flood;
        }()}) {
    Bench bench;
    bench.measure(limits);
    bench.say(hello() + lie, /*stays=*/true);
    bench.run();
    ASSERT_TRUE(bench.speed.has_value());
    ASSERT_FALSE(bench.speed->ok());
    EXPECT_EQ(bench.speed->error().code, Code::invalid) << bench.speed->error().message;
  }
}

TEST(AnswerMeasuring, RefusesNonsenseAndTooMuch) {
  std::string echoes = hello();
  for (int i = 0; i < 51; ++i) echoes += encode_frame(FrameKind::echo, "again");
  std::string flood = hello();
  for (int i = 0; i < 30; ++i) flood += encode_frame(FrameKind::data, std::string(60'000, 'x'));
  struct Case {
    std::string said;
    Code code;
  };
  for (const Case& bad :
       {Case{"GET / HTTP/1.1\r\n\r\n", Code::invalid}, Case{encode_frame(FrameKind::echo, ""), Code::invalid},
        Case{echoes, Code::exhausted}, Case{flood, Code::exhausted},
        Case{hello() + numbers(FrameKind::request, 1, 1) + numbers(FrameKind::request, 1, 1),
             Code::exhausted},
        Case{hello() + hello(), Code::invalid}}) {
    Bench bench;
    bench.answer(short_limits());
    bench.ask(bad.said);
    bench.run();
    ASSERT_TRUE(bench.answered.has_value());
    ASSERT_FALSE(bench.answered->ok());
    EXPECT_EQ(bench.answered->error().code, bad.code) << bench.answered->error().message;
    EXPECT_FALSE(bench.right.is_open());
  }
}

TEST(AnswerMeasuring, SendsNoMoreThanItsOwnLimit) {
  MeasureLimits stingy = short_limits();
  stingy.bandwidth_bytes = Bytes{100'000};
  Bench bench;
  bench.answer(stingy);
  // The unknown end makes it hang up, so that all that it has sent is there to count.
  bench.ask(hello() + numbers(FrameKind::request, ~0ULL, ~0ULL) + "unknown");
  bench.run();
  ASSERT_TRUE(bench.answered.has_value());
  EXPECT_FALSE(bench.answered->ok());
  EXPECT_GE(bench.heard, 100'000U);
  EXPECT_LE(bench.heard, 100'000U + (20U << 10U));
}

}  // namespace
}  // namespace caravan::link
