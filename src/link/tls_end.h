// The end of a tunnel that is a connection of the link: the fast way through TLS.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <openssl/ssl.h>

#include "link/splice.h"
#include "link/tls.h"

namespace caravan::link {

/// A connection of the link after its upgrade. Asio's stream takes one TLS record (16 KiB, RFC 8446, section
/// 5.1) at a time, each with a send and a receive of its own. This one keeps the connection's TLS and puts
/// itself between that and the socket: all records of a write go out in one send, and one receive takes as
/// many as are there.
class TlsEnd final : public TunnelEnd {
 public:
  /// No operation may be under way on the connection. `early` are bytes that were received already; `heard`
  /// is called whenever some arrive, for the heartbeat.
  TlsEnd(std::shared_ptr<TlsConnection> connection, std::string early, std::function<void()> heard);
  ~TlsEnd() override;
  asio::awaitable<std::size_t> read(std::span<char> into) override;
  asio::awaitable<bool> write(std::span<const char> bytes) override;
  void close() override;

 private:
  static BIO_METHOD* method();
  static int bio_read(BIO* bio, char* into, int size);
  static int bio_write(BIO* bio, const char* bytes, int size);
  static long bio_control(BIO* bio, int command, long number, void* pointer);

  std::size_t take_early(std::span<char> into);
  std::size_t take_what_asio_holds(std::span<char> into);
  std::size_t decrypt(std::span<char> into);
  void take_over_reading();
  asio::ip::tcp::socket& socket() { return connection_->stream().next_layer(); }
  SSL* ssl() { return connection_->stream().native_handle(); }

  std::shared_ptr<TlsConnection> connection_;
  std::string early_;
  std::function<void()> heard_;
  BIO* bio_;
  bool asio_reads_ = true;  ///< until nothing is left in its buffers
  bool dry_ = false;        ///< the socket had nothing more
  bool ended_ = false;
  std::vector<char> records_;  ///< encrypted, not sent yet
  std::vector<char> sending_;
};

}  // namespace caravan::link
