#include "engine/rpc_probe.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "engine/timed_stream.h"

namespace caravan::engine {
namespace {

constexpr char kHelloCommand = 14;
constexpr std::size_t kCapabilityBytes = 24;
constexpr std::size_t kVersionBytes = 3;
constexpr std::size_t kMaxReplyBytes = 256;
constexpr char kMemoryCommand = 11;
constexpr char kDeviceCountCommand = 15;
constexpr std::size_t kDeviceBytes = 4;  ///< a number of devices, or of one
constexpr std::size_t kMemoryBytes = 16;

std::string length_bytes(std::size_t length) {
  std::string bytes;
  for (std::size_t i = 0; i < kRpcLengthBytes; ++i)
    bytes += static_cast<char>((std::uint64_t{length} >> (8 * i)) & 0xffU);
  return bytes;
}

/// Exactly `count` bytes.
asio::awaitable<Result<std::string>> read_exactly(TimedStream& stream, std::size_t count,
                                                  TimePoint deadline) {
  std::string bytes(count, '\0');
  for (std::size_t got = 0; got < count;) {
    const auto piece = co_await stream.read_some(std::span(bytes).subspan(got), deadline);
    if (!piece.ok()) co_return piece.error();
    if (*piece == 0) co_return Error{Code::disconnected, "it closed the connection without an answer", ""};
    got += *piece;
  }
  co_return bytes;
}

/// One request and the payload of its reply.
asio::awaitable<Result<std::string>> exchange(TimedStream& stream, std::string request, TimePoint deadline) {
  const Result<void> sent = co_await stream.write(
      request, std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()));
  if (!sent.ok()) co_return sent.error();
  const Result<std::string> head = co_await read_exactly(stream, kRpcLengthBytes, deadline);
  if (!head.ok()) co_return head.error();
  const Result<std::size_t> length = parse_rpc_reply_length(*head);
  if (!length.ok()) co_return length.error();
  co_return co_await read_exactly(stream, *length, deadline);
}

struct Greeted {
  TimedStream stream;
  RpcVersion version;
};

/// Connected and greeted.
asio::awaitable<Result<Greeted>> greet(asio::any_io_executor executor, TcpAddress server,
                                       TimePoint deadline) {
  Error problem;
  for (const HelloForm form : {HelloForm::with_capabilities, HelloForm::bare}) {
    Result<TimedStream> stream = co_await TimedStream::connect(executor, server, deadline);
    if (!stream.ok()) co_return stream.error();
    std::string request = rpc_hello_request(form);
    const Result<std::string> payload = co_await exchange(*stream, std::move(request), deadline);
    const Result<RpcVersion> version =
        payload.ok() ? parse_rpc_hello(*payload) : Result<RpcVersion>(payload.error());
    if (version.ok()) co_return Greeted{std::move(*stream), *version};
    problem = version.error();
    if (problem.code != Code::disconnected) break;  // of another protocol it closes the connection
  }
  co_return with_context(problem, fmt::format("no RPC version from {}", to_string(HttpAddress(server))));
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = (value << 8U) | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

std::string to_string(const RpcVersion& version) {
  return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
}

std::string rpc_hello_request(HelloForm form) {
  const std::size_t length = form == HelloForm::with_capabilities ? kCapabilityBytes : 0;
  return std::string(1, kHelloCommand) + length_bytes(length) + std::string(length, '\0');
}

Result<std::size_t> parse_rpc_reply_length(std::string_view bytes) {
  const std::uint64_t length = little_endian(bytes.substr(0, kRpcLengthBytes));
  if (bytes.size() != kRpcLengthBytes || length < kVersionBytes || length > kMaxReplyBytes) {
    return Error{Code::incompatible, "what listens there is no RPC server", "check the address and the port"};
  }
  return static_cast<std::size_t>(length);
}

Result<RpcVersion> parse_rpc_hello(std::string_view payload) {
  if (payload.size() < kVersionBytes)
    return Error{Code::incompatible, "the RPC server's hello is too short", ""};
  const auto number = [&](std::size_t i) { return int{static_cast<unsigned char>(payload[i])}; };
  return RpcVersion{number(0), number(1), number(2)};
}

asio::awaitable<Result<RpcVersion>> rpc_hello(asio::any_io_executor executor, TcpAddress server,
                                              std::chrono::milliseconds timeout) {
  const Result<Greeted> greeted = co_await greet(executor, server, Clock::now() + timeout);
  if (!greeted.ok()) co_return greeted.error();
  co_return greeted->version;
}

std::string rpc_device_count_request() { return std::string(1, kDeviceCountCommand) + length_bytes(0); }

std::string rpc_memory_request() {
  return std::string(1, kMemoryCommand) + length_bytes(kDeviceBytes) + std::string(kDeviceBytes, '\0');
}

Result<void> check_rpc_device_count(std::string_view payload) {
  if (payload.size() != kDeviceBytes)
    return Error{Code::incompatible, "the RPC server does not say how many devices it has", ""};
  if (const std::uint64_t count = little_endian(payload); count != 1) {
    return Error{Code::incompatible,
                 fmt::format("the RPC server offers {} devices, which must be one", count),
                 "start one with `ggml-rpc-server --device NAME` for each of them"};
  }
  return {};
}

Result<Bytes> parse_rpc_free_memory(std::string_view payload) {
  if (payload.size() != kMemoryBytes)
    return Error{Code::incompatible, "the RPC server does not say how much memory it has", ""};
  return Bytes{little_endian(payload.substr(0, kMemoryBytes / 2))};
}

asio::awaitable<Result<RpcOffer>> rpc_offer(asio::any_io_executor executor, TcpAddress server,
                                            std::chrono::milliseconds timeout) {
  const TimePoint deadline = Clock::now() + timeout;
  Result<Greeted> greeted = co_await greet(executor, server, deadline);
  if (!greeted.ok()) co_return greeted.error();
  const TimePoint asked = Clock::now();
  std::string request = rpc_device_count_request();
  const Result<std::string> count = co_await exchange(greeted->stream, std::move(request), deadline);
  if (!count.ok()) co_return count.error();
  const std::chrono::duration<double> round_trip = Clock::now() - asked;
  if (const auto one = check_rpc_device_count(*count); !one.ok()) co_return one.error();
  request = rpc_memory_request();
  const Result<std::string> memory = co_await exchange(greeted->stream, std::move(request), deadline);
  if (!memory.ok()) co_return memory.error();
  const Result<Bytes> free = parse_rpc_free_memory(*memory);
  if (!free.ok()) co_return free.error();
  co_return RpcOffer{greeted->version, *free, round_trip};
}

}  // namespace caravan::engine
