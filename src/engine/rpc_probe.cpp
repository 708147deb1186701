#include "engine/rpc_probe.h"

#include <array>

#include <fmt/format.h>

#include "engine/timed_stream.h"

namespace caravan::engine {
namespace {

constexpr char kHelloCommand = 14;
constexpr std::size_t kCapabilityBytes = 24;
constexpr std::size_t kVersionBytes = 3;
constexpr std::size_t kMaxReplyBytes = 256;

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

asio::awaitable<Result<RpcVersion>> exchange(TimedStream& stream, HelloForm form, TimePoint deadline) {
  const std::string request = rpc_hello_request(form);
  const Result<void> sent = co_await stream.write(
      request, std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()));
  if (!sent.ok()) co_return sent.error();
  const Result<std::string> head = co_await read_exactly(stream, kRpcLengthBytes, deadline);
  if (!head.ok()) co_return head.error();
  const Result<std::size_t> length = parse_rpc_reply_length(*head);
  if (!length.ok()) co_return length.error();
  const Result<std::string> payload = co_await read_exactly(stream, *length, deadline);
  if (!payload.ok()) co_return payload.error();
  co_return parse_rpc_hello(*payload);
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
  std::uint64_t length = 0;
  for (std::size_t i = std::min(bytes.size(), kRpcLengthBytes); i-- > 0;) {
    length = (length << 8U) | static_cast<unsigned char>(bytes[i]);
  }
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
  const TimePoint deadline = Clock::now() + timeout;
  Result<RpcVersion> answer = Error{};
  for (const HelloForm form : {HelloForm::with_capabilities, HelloForm::bare}) {
    Result<TimedStream> stream = co_await TimedStream::connect(executor, server, deadline);
    if (!stream.ok()) co_return stream.error();
    answer = co_await exchange(*stream, form, deadline);
    if (answer.ok() || answer.error().code != Code::disconnected)
      break;  // of another protocol it closes the connection
  }
  if (answer.ok()) co_return answer;
  co_return with_context(answer.error(),
                         fmt::format("no RPC version from {}", to_string(HttpAddress(server))));
}

}  // namespace caravan::engine
