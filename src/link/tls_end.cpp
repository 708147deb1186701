#include "link/tls_end.h"

#include <memory>
#include <new>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <openssl/err.h>

namespace caravan::link {

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
/// What one receive takes: as much as the pump carries at once, and the records' own bytes.
constexpr std::size_t kReceiveBytes = std::size_t{272} << 10U;
/// Answers to key updates that no write has carried away: nobody honest asks for so many.
constexpr std::size_t kMostUnsent = std::size_t{1} << 20U;

}  // namespace

/// OpenSSL's view of the socket. Made once: OpenSSL has some hundred numbers for such types in all.
BIO_METHOD* TlsEnd::method() {
  static const std::unique_ptr<BIO_METHOD, void (*)(BIO_METHOD*)> made = []() {
    std::unique_ptr<BIO_METHOD, void (*)(BIO_METHOD*)> fresh(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tunnel"), BIO_meth_free);
    BIO_meth_set_read(fresh.get(), bio_read);
    BIO_meth_set_write(fresh.get(), bio_write);
    BIO_meth_set_ctrl(fresh.get(), bio_control);
    return fresh;
  }();
  return made.get();
}

TlsEnd::TlsEnd(std::shared_ptr<TlsConnection> connection, std::string early, std::function<void()> heard)
    : connection_(std::move(connection)),
      early_(std::move(early)),
      heard_(std::move(heard)),
      bio_(BIO_new(method())) {
  if (bio_ == nullptr) throw std::bad_alloc();
  boost::system::error_code ignored;
  (void)socket().non_blocking(true, ignored);
  BIO_set_data(bio_, this);
  BIO_set_init(bio_, 1);
  BIO_up_ref(bio_);  // one for each direction; the other is given away in take_over_reading()
  SSL_set0_wbio(ssl(), bio_);
  SSL_clear_mode(ssl(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);  // set by Asio
}

TlsEnd::~TlsEnd() {
  if (asio_reads_) BIO_free(bio_);
  SSL_set_bio(ssl(), nullptr, nullptr);
}

int TlsEnd::bio_read(BIO* bio, char* into, int size) {
  auto* self = static_cast<TlsEnd*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  boost::system::error_code failure;
  const std::size_t got =
      self->socket().read_some(asio::buffer(into, static_cast<std::size_t>(size)), failure);
  if (!failure) return static_cast<int>(got);
  if (failure == asio::error::would_block || failure == asio::error::try_again) BIO_set_retry_read(bio);
  return -1;
}

int TlsEnd::bio_write(BIO* bio, const char* bytes, int size) {
  auto& records = static_cast<TlsEnd*>(BIO_get_data(bio))->records_;
  if (records.size() > kMostUnsent) return -1;
  records.insert(records.end(), bytes, bytes + size);
  return size;
}

long TlsEnd::bio_control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

std::size_t TlsEnd::take_early(std::span<char> into) {
  const std::size_t count = early_.copy(into.data(), into.size());
  early_.erase(0, count);
  return count;
}

/// Asio has received whole records, and a part of one, that nobody has asked for yet. Until they are used up
/// and the socket is empty, it stays in between.
std::size_t TlsEnd::take_what_asio_holds(std::span<char> into) {
  boost::system::error_code failure;
  const std::size_t got = connection_->stream().read_some(asio::buffer(into.data(), into.size()), failure);
  if (!failure) return got;
  if (failure == asio::error::would_block || failure == asio::error::try_again) {
    take_over_reading();
  } else {
    ended_ = true;
  }
  return 0;
}

/// What of a record has come is in OpenSSL's own buffer now, and stays there.
void TlsEnd::take_over_reading() {
  SSL_set0_rbio(ssl(), bio_);
  asio_reads_ = false;
  dry_ = true;
  SSL_set_read_ahead(ssl(), 1);
  SSL_set_default_read_buffer_len(ssl(), kReceiveBytes);
  SSL_free_buffers(ssl());  // for the longer one; not while it holds a part of a record
}

std::size_t TlsEnd::decrypt(std::span<char> into) {
  std::size_t got = 0;
  while (got < into.size()) {
    ERR_clear_error();
    std::size_t next = 0;
    const int done = SSL_read_ex(ssl(), into.data() + got, into.size() - got, &next);
    if (done == 1) {
      got += next;
      continue;
    }
    dry_ = SSL_get_error(ssl(), done) == SSL_ERROR_WANT_READ;
    ended_ = !dry_;
    return got;
  }
  dry_ = false;
  return got;
}

asio::awaitable<std::size_t> TlsEnd::read(std::span<char> into) {
  if (!early_.empty()) co_return take_early(into);
  std::size_t got = 0;
  while (got == 0 && !ended_) {
    // One of the two in each round: a sender that is faster than this must not keep others from the loop.
    if (dry_) {
      auto [failure] = co_await socket().async_wait(asio::ip::tcp::socket::wait_read, kUseResult);
      if (failure) co_return 0;
    } else {
      co_await asio::post(kUseResult);
    }
    if (!connection_->open()) co_return 0;
    got = asio_reads_ ? take_what_asio_holds(into) : decrypt(into);
  }
  if (got != 0) heard_();
  co_return got;
}

/// Read first: what OpenSSL has to answer to a key update (RFC 8446, section 4.6.3) waits for the next write.
asio::awaitable<bool> TlsEnd::write(std::span<const char> bytes) {
  ERR_clear_error();
  std::size_t taken = 0;
  if (SSL_write_ex(ssl(), bytes.data(), bytes.size(), &taken) != 1) co_return false;
  sending_.clear();
  std::swap(records_, sending_);
  co_return co_await send_all(socket(), sending_);
}

void TlsEnd::close() { connection_->close(); }

}  // namespace caravan::link
