// Mutual TLS 1.3 between devices. Who the other side is, is the Ed25519 key that it proves to have; whether
// it may connect, the caller decides by that key. No certificate authority, no names, no dates.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "base/units.h"
#include "link/crypto.h"
#include "link/identity.h"

namespace caravan::link {

namespace asio = boost::asio;

/// Whether a device with this key may connect. Called during the handshake: false ends it, and the other side
/// learns nothing but that.
using KeyCheck = std::function<bool(const PublicKey&)>;
using TlsStream = asio::ssl::stream<asio::ip::tcp::socket>;

/// Settings of one side. TLS 1.3 only, both sides present an Ed25519 certificate, X25519, AES-128-GCM or
/// ChaCha20-Poly1305, no session tickets or resumption, no early data, no compression. OpenSSL's
/// renegotiation does not exist in TLS 1.3.
class TlsContext {
 public:
  enum class Side { accept, dial };

  static Result<std::shared_ptr<TlsContext>> make(const Identity& identity, Side side, KeyCheck check);
  TlsContext(Side side, KeyCheck check);  ///< for make
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  Side side() const { return side_; }
  asio::ssl::context& asio() { return context_; }
  /// Whether the certificate that the other side presents carries a key that the check takes.
  bool takes(X509* certificate) const noexcept;

 private:
  asio::ssl::context context_;
  Side side_;
  KeyCheck check_;
};

/// One TCP connection with TLS on it. Held by shared_ptr: closing it from anywhere ends every operation that
/// is under way. One loop of one thread.
class TlsConnection : public std::enable_shared_from_this<TlsConnection> {
 public:
  TlsConnection(asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> context);
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  /// Before handshake(), on the dialling side. `host` is an address or a name. Code::unavailable when nobody
  /// can be reached there.
  asio::awaitable<Result<void>> connect(std::string host, int port);
  /// What connect() has failed with; none when it has not.
  const boost::system::error_code& connect_failure() const { return connect_failure_; }
  /// Both keys are proved when this succeeds on the accepting side. The dialling side has then proved the
  /// other's key, and learns with its first read whether its own was taken (RFC 8446, section 4.4.2.4).
  asio::awaitable<Result<void>> handshake();

  /// Of the other side, after the handshake.
  const PublicKey& peer_key() const { return peer_key_; }
  const std::string& peer() const { return peer_; }  ///< its device id
  /// The other side's IP address, for limits and for people.
  std::string address() const;
  /// RFC 9266's tls-exporter: the same on both sides, and different for each connection.
  Result<Hash> channel_binding();

  TlsStream& stream() { return stream_; }
  asio::any_io_executor executor() { return stream_.get_executor(); }

  /// Closes the connection at that time, unless disarm() comes first. Replaces an earlier deadline.
  void arm(TimePoint deadline);
  void disarm();
  /// At once, without a farewell: an end of TCP is an end, whoever made it.
  void close();
  bool open() const { return stream_.lowest_layer().is_open(); }

  /// Cause and cure of a failed operation. Code::unavailable when the deadline passed, Code::disconnected
  /// when the other side has closed, Code::invalid when TLS itself was refused.
  Error explain(const boost::system::error_code& failure, std::string_view doing) const;

 private:
  std::shared_ptr<TlsContext> context_;
  TlsStream stream_;
  boost::system::error_code connect_failure_;
  asio::steady_timer deadline_;
  bool timed_out_ = false;
  bool closed_ = false;  ///< while a name is looked up there is no socket yet that could show it
  PublicKey peer_key_{};
  std::string peer_;
};

}  // namespace caravan::link
