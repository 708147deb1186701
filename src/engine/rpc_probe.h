// Asks an RPC server for the version of its protocol and for what it offers: the only things that Caravan
// itself says in that protocol.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/units.h"
#include "engine/http_address.h"

namespace caravan::engine {

namespace asio = boost::asio;

struct RpcVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;

  auto operator<=>(const RpcVersion&) const = default;
};

/// "7.0.0"
std::string to_string(const RpcVersion& version);

/// A hello as bytes: command 14, the length of its payload in 8 bytes, low byte first, and the payload: 24
/// bytes of capabilities of the connection (none) since protocol 4, nothing before.
enum class HelloForm { with_capabilities, bare };
std::string rpc_hello_request(HelloForm form);

/// A reply is a length in the same form and then that many bytes, of which the first three are the version.
inline constexpr std::size_t kRpcLengthBytes = 8;
/// Code::incompatible when it cannot be the length of a reply to a hello.
Result<std::size_t> parse_rpc_reply_length(std::string_view bytes);
Result<RpcVersion> parse_rpc_hello(std::string_view payload);

/// Connects, says hello, reads the reply, closes; all within `timeout`. Never blocks. The server serves one
/// client at a time, so one that is in use does not answer: Code::unavailable. Nobody listens:
/// Code::disconnected. Something else listens: Code::incompatible.
asio::awaitable<Result<RpcVersion>> rpc_hello(asio::any_io_executor executor, TcpAddress server,
                                              std::chrono::milliseconds timeout);

/// What somebody else's RPC server offers.
struct RpcOffer {
  RpcVersion version;
  Bytes free_memory;  ///< of its device
  std::chrono::duration<double> round_trip{};
};

/// Requests without and with a payload (protocols 3 to 7): the number of devices, 4 bytes; the memory of the
/// device in the 4 bytes sent, 8 bytes free and 8 in all.
std::string rpc_device_count_request();
std::string rpc_memory_request();
/// Code::incompatible for another number than one: ranks are counted by servers, not by devices.
Result<void> check_rpc_device_count(std::string_view payload);
Result<Bytes> parse_rpc_free_memory(std::string_view payload);

/// As rpc_hello, and then what it offers, on the same connection.
asio::awaitable<Result<RpcOffer>> rpc_offer(asio::any_io_executor executor, TcpAddress server,
                                            std::chrono::milliseconds timeout);

}  // namespace caravan::engine
