#include "link/tls.h"

#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

namespace caravan::link {

using asio::ip::tcp;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr long kMaxCertificateBytes = 8L << 10;                         // ours has about 300
constexpr std::string_view kBindingLabel = "EXPORTER-Channel-Binding";  // RFC 9266, section 2

/// Takes the place of OpenSSL's check of the certificate's chain. That the other side has the key's private
/// half, OpenSSL checks itself (CertificateVerify, RFC 8446, section 4.4.3).
int verify_certificate(X509_STORE_CTX* store, void* context) {
  if (static_cast<const TlsContext*>(context)->takes(X509_STORE_CTX_get0_cert(store))) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

bool configure(SSL_CTX* context, const Identity& identity) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_max_cert_list(context, kMaxCertificateBytes);
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_num_tickets(context, 0) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1 &&
         SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
         SSL_CTX_set1_groups_list(context, "X25519") == 1 &&
         SSL_CTX_set1_sigalgs_list(context, "ed25519") == 1 &&
         SSL_CTX_set1_client_sigalgs_list(context, "ed25519") == 1 &&
         SSL_CTX_use_certificate(context, identity.certificate()) == 1 &&
         SSL_CTX_use_PrivateKey(context, identity.key()) == 1;
}

}  // namespace

TlsContext::TlsContext(Side side, KeyCheck check)
    : context_(side == Side::accept ? asio::ssl::context::tlsv13_server : asio::ssl::context::tlsv13_client),
      side_(side),
      check_(std::move(check)) {}

Result<std::shared_ptr<TlsContext>> TlsContext::make(const Identity& identity, Side side, KeyCheck check) {
  auto made = std::make_shared<TlsContext>(side, std::move(check));
  SSL_CTX* context = made->context_.native_handle();
  if (!configure(context, identity)) {
    return Error{Code::bug, "OpenSSL does not take the settings of the link",
                 "the installed OpenSSL has no TLS 1.3 with Ed25519; version 3 has"};
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_certificate, made.get());
  return made;
}

bool TlsContext::takes(X509* certificate) const noexcept {
  try {
    const auto key = key_of(certificate);
    return key && check_(*key);
  } catch (...) {  // OpenSSL is written in C: nothing may be thrown through it
    return false;
  }
}

TlsConnection::TlsConnection(tcp::socket socket, std::shared_ptr<TlsContext> context)
    : context_(std::move(context)),
      stream_(std::move(socket), context_->asio()),
      deadline_(stream_.get_executor()) {}

asio::awaitable<Result<void>> TlsConnection::connect(std::string host, int port) {
  const auto self = shared_from_this();
  tcp::resolver resolver(executor());
  auto [unknown, endpoints] =
      co_await resolver.async_resolve(host, std::to_string(port), tcp::resolver::numeric_service, kUseResult);
  connect_failure_ = unknown;
  if (unknown) {
    co_return Error{Code::unavailable, fmt::format("nobody knows the address of '{}'", host),
                    "use the device's IP address"};
  }
  if (closed_)
    co_return explain(asio::error::operation_aborted, fmt::format("connecting to {}:{}", host, port));
  auto [failure, endpoint] = co_await asio::async_connect(stream_.lowest_layer(), endpoints, kUseResult);
  connect_failure_ = failure;
  if (!failure) co_return Result<void>();
  Error error = explain(failure, fmt::format("connecting to {}:{}", host, port));
  error.code = Code::unavailable;
  error.hint = "is Caravan running there, and are both devices in one network?";
  close();
  co_return error;
}

asio::awaitable<Result<void>> TlsConnection::handshake() {
  const auto self = shared_from_this();
  boost::system::error_code ignored;
  (void)stream_.lowest_layer().set_option(tcp::no_delay(true), ignored);
  const bool accepting = context_->side() == TlsContext::Side::accept;
  auto [failure] = co_await stream_.async_handshake(
      accepting ? asio::ssl::stream_base::server : asio::ssl::stream_base::client, kUseResult);
  const auto key = failure ? std::nullopt : key_of(SSL_get0_peer_certificate(stream_.native_handle()));
  if (!key) {
    const Error error = explain(failure, "TLS handshake");
    close();
    co_return error;
  }
  peer_key_ = *key;
  peer_ = device_id(*key);
  co_return Result<void>();
}

std::string TlsConnection::address() const {
  boost::system::error_code failure;
  const auto endpoint = stream_.lowest_layer().remote_endpoint(failure);
  return failure ? std::string() : endpoint.address().to_string();
}

Result<Hash> TlsConnection::channel_binding() {
  Hash binding{};
  const int made = SSL_export_keying_material(stream_.native_handle(), binding.data(), binding.size(),
                                              kBindingLabel.data(), kBindingLabel.size(), nullptr, 0, 1);
  if (made == 1) return binding;
  return Error{Code::bug, "no channel binding before the handshake is done", ""};
}

void TlsConnection::arm(TimePoint deadline) {
  deadline_.expires_at(deadline);
  deadline_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self || self->deadline_.expiry() > Clock::now()) return;
    self->timed_out_ = true;
    self->close();
  });
}

/// A deadline whose handler is already queued must not close either: hence the far expiry.
void TlsConnection::disarm() { deadline_.expires_at(TimePoint::max()); }

void TlsConnection::close() {
  closed_ = true;
  boost::system::error_code ignored;
  (void)stream_.lowest_layer().close(ignored);
  deadline_.cancel();
}

Error TlsConnection::explain(const boost::system::error_code& failure, std::string_view doing) const {
  if (timed_out_) return Error{Code::unavailable, fmt::format("{}: no answer in time", doing), ""};
  if (failure.category() == asio::error::get_ssl_category()) {
    return Error{Code::invalid, fmt::format("{}: refused ({})", doing, failure.message()),
                 "both devices have to be members of the same cluster: see `caravan status` on each"};
  }
  return Error{Code::disconnected, fmt::format("{}: the connection was cut ({})", doing, failure.message()),
               ""};
}

}  // namespace caravan::link
