// The link's port: lets in only devices that prove an acceptable key, and hands each on with what it asks
// for. Whoever knocks may be slow, many, or hostile.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "link/dial.h"
#include "link/tls.h"
#include "link/upgrade.h"

namespace caravan::link {

/// What a key is to this cluster now. A stranger gets to the pairing path and nowhere else.
enum class Standing { refused, stranger, member };
using Judge = std::function<Standing(const PublicKey&)>;

struct ListenerLimits {
  std::size_t half_open = 64;             ///< connections that have not said what they want
  std::size_t half_open_per_address = 8;  ///< of one IPv4 address, or of one IPv6 /64
  std::size_t strangers = 4;              ///< pairing at once
  std::size_t header_bytes = 8192;
  std::chrono::milliseconds handshake_time{5000};
  std::chrono::milliseconds request_time{5000};  ///< from the handshake to the end of the request's head
  std::chrono::milliseconds stranger_time = kPairingTime;  ///< in all
};

/// A connection after the handshake and the request. Its standing was asked for twice: in the handshake, and
/// again after the request.
struct Visitor {
  std::shared_ptr<TlsConnection> connection;
  UpgradeRequest request;
  Standing standing = Standing::stranger;
};

/// One loop of one thread; nothing blocks. Destroying it closes the port and all that is half open.
class Listener {
 public:
  /// Runs as a coroutine of its own for each visitor; the connection ends when nobody holds it any more.
  using Handler = std::function<asio::awaitable<void>(Visitor)>;

  /// `address` is an IP address of this device, 0.0.0.0 or :: (then IPv4 as well); port 0 lets the system
  /// choose. Code::unavailable when the port is taken, Code::invalid when the address is not this device's.
  static Result<std::unique_ptr<Listener>> open(asio::any_io_executor executor, const Identity& identity,
                                                const std::string& address, int port, ListenerLimits limits,
                                                Judge judge, Handler handler);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const;
  std::size_t half_open() const;

 private:
  struct Inner;
  explicit Listener(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::link
