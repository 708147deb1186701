#include "link/measure.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "link/measure_frame.h"

namespace caravan::link {
namespace {

using asio::ip::tcp;

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kEchoBytes = 64;
constexpr std::size_t kDataBytes = 16U << 10U;  ///< a slow link has to get several across in the time
constexpr std::size_t kEchoesAllowed = 10;      ///< times as many as we would send
constexpr int kSendBuffer = 256 << 10;          ///< what is on its way when time is up has to be waited for

/// A frame as it came.
struct Frame {
  FrameKind kind = FrameKind::done;
  std::string payload;
};

/// The connection, with a deadline on every wait: when it passes, the socket is closed and the wait ends.
class Conversation {
 public:
  Conversation(tcp::socket& socket, const MeasureLimits& limits)
      : socket_(socket),
        patience_(limits.patience),
        last_end_(Clock::now() + limits.at_most),
        watch_(std::make_shared<Watch>(socket)) {
    boost::system::error_code ignored;
    (void)socket.set_option(tcp::no_delay(true), ignored);
    (void)socket.set_option(asio::socket_base::send_buffer_size(kSendBuffer), ignored);
  }
  ~Conversation() {
    watch_->socket = nullptr;
    watch_->timer.cancel();
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  asio::awaitable<Result<void>> send(std::string frame) {
    arm();
    auto [failure, sent] = co_await asio::async_write(socket_, asio::buffer(frame), kUseResult);
    disarm();
    if (failure) co_return explain(failure);
    co_return Result<void>();
  }

  asio::awaitable<Result<Frame>> receive() {
    arm();
    std::array<unsigned char, kFrameHeaderBytes> head{};
    auto [head_failure, head_bytes] = co_await asio::async_read(socket_, asio::buffer(head), kUseResult);
    if (head_failure) co_return explain(head_failure);
    const auto header = decode_frame_header(head);
    if (!header.ok()) co_return close(header.error());
    Frame frame;
    frame.kind = header->kind;
    frame.payload.resize(header->length);
    auto [failure, bytes] = co_await asio::async_read(socket_, asio::buffer(frame.payload), kUseResult);
    disarm();
    if (failure) co_return explain(failure);
    co_return frame;
  }

  asio::awaitable<Result<Frame>> receive(FrameKind kind) {
    auto frame = co_await receive();
    if (frame.ok() && frame->kind != kind) co_return close(unexpected(frame->kind));
    co_return frame;
  }

  /// Ends a conversation that went wrong.
  Error close(Error error) {
    boost::system::error_code ignored;
    (void)socket_.close(ignored);
    return error;
  }
  static Error unexpected(FrameKind kind) {
    return Error{Code::invalid,
                 fmt::format("the other side sent a frame of kind {} out of turn", static_cast<int>(kind)),
                 "both devices need the same version of Caravan"};
  }

 private:
  struct Watch {
    explicit Watch(tcp::socket& watched) : socket(&watched), timer(watched.get_executor()) {}
    tcp::socket* socket;  ///< null once the conversation is over
    asio::steady_timer timer;
    bool passed = false;
  };

  void arm() {
    watch_->timer.expires_at(std::min(Clock::now() + patience_, last_end_));
    watch_->timer.async_wait([watch = watch_](const boost::system::error_code& cancelled) {
      if (cancelled || watch->socket == nullptr || watch->timer.expiry() > Clock::now()) return;
      watch->passed = true;
      boost::system::error_code ignored;
      (void)watch->socket->close(ignored);
    });
  }
  void disarm() { watch_->timer.cancel(); }

  Error explain(const boost::system::error_code& failure) {
    if (watch_->passed) return Error{Code::unavailable, "the other side did not answer in time", ""};
    return close(Error{Code::disconnected, "the connection was cut: " + failure.message(), ""});
  }

  tcp::socket& socket_;
  std::chrono::milliseconds patience_;
  TimePoint last_end_;
  std::shared_ptr<Watch> watch_;
};

/// Bytes over the time in which they arrived: from the end of the first frame to the end of the last.
class Meter {
 public:
  void add(std::size_t bytes) {
    last_ = Clock::now();
    if (!first_) {
      first_ = last_;
    } else {
      bytes_ += bytes;
    }
  }
  std::uint64_t bytes() const { return bytes_; }
  std::chrono::microseconds time() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(last_ - first_.value_or(last_));
  }

 private:
  std::optional<TimePoint> first_;
  TimePoint last_;
  std::uint64_t bytes_ = 0;
};

double rate_of(std::uint64_t bytes, std::uint64_t microseconds) {
  return static_cast<double>(bytes) * 1e6 / static_cast<double>(std::max<std::uint64_t>(microseconds, 1));
}

std::string numbers_frame(FrameKind kind, std::uint64_t first, std::uint64_t second) {
  const std::array<std::uint64_t, 2> numbers{first, second};
  return encode_frame(kind, encode_numbers(numbers));
}

std::string hello_frame() {
  const std::array<std::uint64_t, 1> numbers{kMeasureVersion};
  return encode_frame(FrameKind::hello, encode_numbers(numbers));
}

Result<void> check_hello(std::string_view payload) {
  std::array<std::uint64_t, 1> version{};
  if (auto read = decode_numbers(payload, version); !read) return read.error();
  if (version[0] == kMeasureVersion) return {};
  return Error{Code::incompatible,
               fmt::format("the other side measures by version {} of the protocol, we by {}", version[0],
                           kMeasureVersion),
               "update Caravan on both devices"};
}

/// Data frames until the time or the bytes are over, then `end`.
asio::awaitable<Result<void>> pour(Conversation& with, std::chrono::microseconds time, Bytes bytes) {
  const std::string frame = encode_frame(FrameKind::data, std::string(kDataBytes, '\x5a'));
  const TimePoint end = Clock::now() + time;
  Bytes sent;
  while (sent < bytes && Clock::now() < end) {
    const auto done = co_await with.send(frame);
    if (!done.ok()) co_return done.error();
    sent += Bytes{kDataBytes};
  }
  co_return co_await with.send(encode_frame(FrameKind::end, ""));
}

asio::awaitable<Result<std::vector<Seconds>>> round_trips(Conversation& with, int count) {
  std::vector<Seconds> samples;
  for (int i = 0; i < count; ++i) {
    std::string payload(kEchoBytes, static_cast<char>(i));
    const TimePoint begun = Clock::now();
    const auto sent = co_await with.send(encode_frame(FrameKind::echo, payload));
    if (!sent.ok()) co_return sent.error();
    const auto answer = co_await with.receive(FrameKind::echo);
    if (!answer.ok()) co_return answer.error();
    if (answer->payload != payload)
      co_return with.close(
          Error{Code::invalid, "the other side answered something else than it was sent", ""});
    samples.push_back(Clock::now() - begun);
  }
  co_return samples;
}

asio::awaitable<Result<double>> upload(Conversation& with, MeasureLimits limits) {
  const auto poured = co_await pour(with, limits.bandwidth_time, limits.bandwidth_bytes);
  if (!poured.ok()) co_return poured.error();
  const auto answer = co_await with.receive(FrameKind::received);
  if (!answer.ok()) co_return answer.error();
  std::array<std::uint64_t, 2> counted{};
  if (auto read = decode_numbers(answer->payload, counted); !read.ok()) co_return with.close(read.error());
  if (counted[0] > limits.bandwidth_bytes.count + kDataBytes)
    co_return with.close(Error{Code::invalid, "the other side says that it got more than was sent", ""});
  co_return rate_of(counted[0], counted[1]);
}

asio::awaitable<Result<double>> download(Conversation& with, MeasureLimits limits) {
  const auto time = std::chrono::microseconds(limits.bandwidth_time).count();
  const auto asked = co_await with.send(
      numbers_frame(FrameKind::request, limits.bandwidth_bytes.count, static_cast<std::uint64_t>(time)));
  if (!asked.ok()) co_return asked.error();
  Meter meter;
  for (;;) {
    const auto frame = co_await with.receive();
    if (!frame.ok()) co_return frame.error();
    if (frame->kind == FrameKind::end) break;
    if (frame->kind != FrameKind::data) co_return with.close(Conversation::unexpected(frame->kind));
    meter.add(frame->payload.size());
    if (meter.bytes() > limits.bandwidth_bytes.count)
      co_return with.close(Error{Code::invalid, "the other side sends more than it was asked for", ""});
  }
  co_return rate_of(meter.bytes(), static_cast<std::uint64_t>(meter.time().count()));
}

/// The responder's part of one frame. True when the conversation is over.
class Responder {
 public:
  Responder(Conversation& with, const MeasureLimits& limits)
      : with_(with),
        limits_(limits),
        echoes_left_(kEchoesAllowed * static_cast<std::size_t>(limits.round_trips)) {}

  asio::awaitable<Result<bool>> answer(Frame frame) {
    Result<void> done;
    switch (frame.kind) {
      case FrameKind::echo:
        if (echoes_left_-- == 0)
          co_return with_.close(Error{Code::exhausted, "the other side sends too many echoes", ""});
        done = co_await with_.send(encode_frame(FrameKind::echo, frame.payload));
        break;
      case FrameKind::data:
        meter_.add(frame.payload.size());
        if (meter_.bytes() > limits_.bandwidth_bytes.count)
          co_return with_.close(Error{Code::exhausted, "the other side sends too much", ""});
        break;
      case FrameKind::end:
        done = co_await with_.send(numbers_frame(FrameKind::received, meter_.bytes(),
                                                 static_cast<std::uint64_t>(meter_.time().count())));
        meter_ = Meter();
        break;
      case FrameKind::request:
        done = co_await serve(frame.payload);
        break;
      case FrameKind::done:
        co_return true;
      default:
        co_return with_.close(Conversation::unexpected(frame.kind));
    }
    if (!done.ok()) co_return done.error();
    co_return false;
  }

 private:
  asio::awaitable<Result<void>> serve(std::string payload) {
    std::array<std::uint64_t, 2> asked{};
    if (auto read = decode_numbers(payload, asked); !read.ok()) co_return with_.close(read.error());
    if (served_) co_return with_.close(Error{Code::exhausted, "the other side asks for data twice", ""});
    served_ = true;
    const Bytes bytes{std::min(asked[0], limits_.bandwidth_bytes.count)};
    const std::chrono::microseconds most = limits_.bandwidth_time;
    const auto time = std::min(asked[1], static_cast<std::uint64_t>(most.count()));
    co_return co_await pour(with_, std::chrono::microseconds(time), bytes);
  }

  Conversation& with_;
  const MeasureLimits& limits_;
  std::size_t echoes_left_;
  Meter meter_;
  bool served_ = false;
};

}  // namespace

asio::awaitable<Result<LinkSpeed>> measure_link(tcp::socket& socket, MeasureLimits limits) {
  Conversation with(socket, limits);
  const auto greeted = co_await with.send(hello_frame());
  if (!greeted.ok()) co_return greeted.error();
  const auto hello = co_await with.receive(FrameKind::hello);
  if (!hello.ok()) co_return hello.error();
  if (auto known = check_hello(hello->payload); !known.ok()) co_return with.close(known.error());

  const auto samples = co_await round_trips(with, limits.round_trips);
  if (!samples.ok()) co_return samples.error();
  const auto up = co_await upload(with, limits);
  if (!up.ok()) co_return up.error();
  const auto down = co_await download(with, limits);
  if (!down.ok()) co_return down.error();
  const auto ended = co_await with.send(encode_frame(FrameKind::done, ""));
  if (!ended.ok()) co_return ended.error();
  LinkSpeed speed;
  speed.round_trip_median = percentile(*samples, 0.5);
  speed.round_trip_p95 = percentile(*samples, 0.95);
  speed.upload = *up;
  speed.download = *down;
  co_return speed;
}

asio::awaitable<Result<void>> answer_measuring(tcp::socket& socket, MeasureLimits limits) {
  Conversation with(socket, limits);
  const auto hello = co_await with.receive(FrameKind::hello);
  if (!hello.ok()) co_return hello.error();
  const auto greeted = co_await with.send(hello_frame());  // also to another version: it can say so
  if (!greeted.ok()) co_return greeted.error();
  if (auto known = check_hello(hello->payload); !known.ok()) co_return with.close(known.error());
  Responder responder(with, limits);
  for (;;) {
    auto frame = co_await with.receive();
    if (!frame.ok()) co_return frame.error();
    const auto over = co_await responder.answer(std::move(*frame));
    if (!over.ok()) co_return over.error();
    if (*over) co_return Result<void>();
  }
}

}  // namespace caravan::link
