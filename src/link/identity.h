// Who a device is: an Ed25519 key, the id that is a hash of it, and a certificate that carries it through
// TLS. Knows nothing of clusters or sockets. Not shared between threads, except that const calls may be.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <openssl/types.h>

#include "base/files.h"
#include "base/result.h"

namespace caravan::link {

using PublicKey = std::array<std::uint8_t, 32>;  ///< raw Ed25519, RFC 8032
using Signature = std::array<std::uint8_t, 64>;

/// Base32 (RFC 4648, lower case, without padding) of the first 20 bytes of SHA-256(key): 32 characters.
std::string device_id(const PublicKey& key);
/// The first eight characters of an id as "abcd-efgh", for people's eyes; shorter ones as they are.
std::string short_id(std::string_view id);

/// Lower-case hex, and nothing for what is not exactly that.
std::string key_text(const PublicKey& key);
std::optional<PublicKey> key_from_text(std::string_view text);
std::string signature_text(const Signature& signature);
std::optional<Signature> signature_from_text(std::string_view text);

class Identity {
 public:
  static Result<Identity> generate();
  /// The key whose RFC 8032 seed this is; the same seed gives the same key, signatures and certificate. For
  /// tests: a seed that anybody knows protects nothing.
  static Result<Identity> from_seed(const std::array<std::uint8_t, 32>& seed);
  /// `folder`/device.key (PKCS#8, PEM, 0600) and `folder`/device.crt (PEM): read, or made when there is no
  /// key. What is there and broken, another's, or readable by others is an error and never replaced; only a
  /// missing certificate is made again, because it follows from the key. Blocks on the disk.
  static Result<Identity> load_or_create(const fs::path& folder);

  const PublicKey& public_key() const { return public_key_; }
  const std::string& id() const { return id_; }

  /// Over context, a zero byte, message. `context` says what is signed, e.g. "caravan pairing 1", and has no
  /// zero byte: a signature made for one purpose is worth nothing for another.
  Signature sign(std::string_view context, std::string_view message) const;

  EVP_PKEY* key() const { return key_.get(); }              ///< borrowed, for TLS
  X509* certificate() const { return certificate_.get(); }  ///< borrowed, for TLS

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const;
    void operator()(X509* certificate) const;
  };
  using KeyPointer = std::unique_ptr<EVP_PKEY, Free>;
  using CertificatePointer = std::unique_ptr<X509, Free>;

  Identity(KeyPointer key, CertificatePointer certificate, const PublicKey& public_key);
  static Result<Identity> from_key(KeyPointer key);
  static Result<Identity> read_key(const fs::path& path);
  Result<void> write_key(const fs::path& path) const;
  Result<void> check_or_write_certificate(const fs::path& path) const;

  KeyPointer key_;
  CertificatePointer certificate_;
  PublicKey public_key_{};
  std::string id_;
};

/// Whether `signature` is what `key`'s owner made of context and message with Identity::sign.
bool verify(const PublicKey& key, std::string_view context, std::string_view message,
            const Signature& signature);

/// The key in a certificate; nothing when there is none or it is not Ed25519. Proves no possession: TLS does.
std::optional<PublicKey> key_of(X509* certificate);

}  // namespace caravan::link
