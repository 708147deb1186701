#include "link/identity.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <stdexcept>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/descriptor.h"
#include "link/crypto.h"

namespace caravan::link {
namespace {

constexpr Bytes kMaxFile{16U << 10U};
constexpr std::size_t kIdBytes = 20;

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using BioPointer = std::unique_ptr<BIO, BioFree>;

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using ContextPointer = std::unique_ptr<EVP_MD_CTX, ContextFree>;

Error broken(std::string message) {
  return Error{Code::bug, std::move(message), "the installed OpenSSL cannot do Ed25519; version 3 can"};
}

std::string framed(std::string_view context, std::string_view message) {
  std::string bytes(context);
  bytes += '\0';
  bytes += message;
  return bytes;
}

std::optional<PublicKey> raw_key_of(const EVP_PKEY* key) {
  PublicKey raw{};
  std::size_t length = raw.size();
  const bool usable = key != nullptr && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
                      EVP_PKEY_get_raw_public_key(key, raw.data(), &length) == 1 && length == raw.size();
  return usable ? std::optional(raw) : std::nullopt;
}

/// Self-signed and always the same for a key. Valid "for ever" (RFC 5280, section 4.1.2.5): phones start with
/// wrong clocks, and it is the membership that decides who may connect.
bool fill_certificate(X509* certificate, EVP_PKEY* key, const std::string& id) {
  X509_NAME* name = X509_get_subject_name(certificate);
  return X509_set_version(certificate, X509_VERSION_3) == 1 &&
         ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
         ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "20000101000000Z") == 1 &&
         ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, bytes_of(id).data(),
                                    static_cast<int>(id.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         X509_sign(certificate, key, nullptr) > 0;
}

std::string text_in(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return length > 0 ? std::string(data, static_cast<std::size_t>(length)) : std::string();
}

/// Everything but a plain file that only this user can read is refused before it is opened: opening a pipe
/// would wait for ever. Code::not_found when there is nothing.
Result<void> check_private_file(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return errno_error(fmt::format("cannot look at {}", path.string()), errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return Error{Code::invalid, fmt::format("{} is not a file", path.string()), "move it out of the way"};
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  return Error{
      Code::invalid,
      fmt::format("{} can be read by others (mode {:03o})", path.string(),
                  static_cast<unsigned>(info.st_mode & 0777U)),
      fmt::format("chmod 600 {}; if somebody may have copied it, remove this device from its cluster, "
                  "delete the file and join again",
                  path.string())};
}

/// Held while the files are read or made, so that two processes that start at once make one key.
Result<Descriptor> lock_folder(const fs::path& folder) {
  Descriptor lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.get() < 0) return errno_error(fmt::format("cannot open {}", folder.string()), errno);
  int locked = 0;
  do locked = ::flock(lock.get(), LOCK_EX);
  while (locked != 0 && errno == EINTR);
  if (locked != 0) return errno_error(fmt::format("cannot lock {}", folder.string()), errno);
  return lock;
}

}  // namespace

std::string device_id(const PublicKey& key) { return base32(ByteView(sha256(text_of(key))).first(kIdBytes)); }

std::string short_id(std::string_view id) {
  return id.size() < 8 ? std::string(id) : fmt::format("{}-{}", id.substr(0, 4), id.substr(4, 4));
}

std::string key_text(const PublicKey& key) { return hex(key); }

std::optional<PublicKey> key_from_text(std::string_view text) { return exactly<32>(from_hex(text)); }

std::string signature_text(const Signature& signature) { return hex(signature); }

std::optional<Signature> signature_from_text(std::string_view text) { return exactly<64>(from_hex(text)); }

void Identity::Free::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
void Identity::Free::operator()(X509* certificate) const { X509_free(certificate); }

Identity::Identity(KeyPointer key, CertificatePointer certificate, const PublicKey& public_key)
    : key_(std::move(key)),
      certificate_(std::move(certificate)),
      public_key_(public_key),
      id_(device_id(public_key)) {}

Result<Identity> Identity::generate() {
  std::string random = random_bytes(32);
  auto seed = *exactly<32>(random);
  auto identity = from_seed(seed);
  wipe(random);
  OPENSSL_cleanse(seed.data(), seed.size());
  return identity;
}

Result<Identity> Identity::from_seed(const std::array<std::uint8_t, 32>& seed) {
  return from_key(
      KeyPointer(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size())));
}

Result<Identity> Identity::from_key(KeyPointer key) {
  const auto public_key = raw_key_of(key.get());
  if (!public_key) return broken("no Ed25519 key could be made");
  CertificatePointer certificate(X509_new());
  if (!certificate || !fill_certificate(certificate.get(), key.get(), device_id(*public_key))) {
    return broken("no certificate could be made");
  }
  return Identity(std::move(key), std::move(certificate), *public_key);
}

Result<Identity> Identity::load_or_create(const fs::path& folder) {
  if (auto made = make_private_folder(folder); !made) return made.error();
  const auto lock = lock_folder(folder);
  if (!lock) return lock.error();
  const fs::path path = folder / "device.key";
  auto identity = read_key(path);
  if (!identity && identity.error().code == Code::not_found) {
    identity = generate();
    if (!identity) return identity;
    if (auto written = identity->write_key(path); !written) return written.error();
  }
  if (!identity) return identity;
  if (auto usable = identity->check_or_write_certificate(folder / "device.crt"); !usable) {
    return usable.error();
  }
  return identity;
}

Result<Identity> Identity::read_key(const fs::path& path) {
  if (auto usable = check_private_file(path); !usable) return usable.error();
  auto text = read_file(path, kMaxFile);
  if (!text) return text.error();
  const BioPointer bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  // The empty password keeps OpenSSL from asking at the terminal for that of an encrypted key.
  std::string password;
  KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, password.data()));
  wipe(*text);
  if (raw_key_of(key.get())) return from_key(std::move(key));
  return Error{
      Code::invalid, fmt::format("{} holds no Ed25519 key that can be read", path.string()),
      "restore it from a copy; or remove this device from its cluster, delete the file and join again "
      "as a new device"};
}

Result<void> Identity::write_key(const fs::path& path) const {
  const BioPointer bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return broken("the key could not be written as PEM");
  }
  std::string text = text_in(bio.get());
  auto written = write_file_atomically(path, text, 0600);
  wipe(text);
  return written;
}

Result<void> Identity::check_or_write_certificate(const fs::path& path) const {
  const BioPointer bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate()) != 1) {
    return broken("the certificate could not be written as PEM");
  }
  const std::string expected = text_in(bio.get());
  if (auto usable = check_private_file(path); !usable) {
    if (usable.error().code != Code::not_found) return usable;
    return write_file_atomically(path, expected, 0600);
  }
  const auto text = read_file(path, kMaxFile);
  if (!text) return text.error();
  if (*text == expected) return {};
  return Error{Code::invalid, fmt::format("{} does not belong to the device.key beside it", path.string()),
               "delete device.crt if device.key is the right one: it is made again from the key"};
}

Signature Identity::sign(std::string_view context, std::string_view message) const {
  const std::string bytes = framed(context, message);
  const ContextPointer state(EVP_MD_CTX_new());
  Signature signature{};
  std::size_t length = signature.size();
  const bool signed_it =
      state && EVP_DigestSignInit(state.get(), nullptr, nullptr, nullptr, key()) == 1 &&
      EVP_DigestSign(state.get(), signature.data(), &length, bytes_of(bytes).data(), bytes.size()) == 1;
  if (!signed_it || length != signature.size()) throw std::runtime_error("OpenSSL failed: Ed25519 signature");
  return signature;
}

bool verify(const PublicKey& key, std::string_view context, std::string_view message,
            const Signature& signature) {
  struct Free {
    void operator()(EVP_PKEY* pointer) const { EVP_PKEY_free(pointer); }
  };
  const std::unique_ptr<EVP_PKEY, Free> theirs(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const std::string bytes = framed(context, message);
  const ContextPointer state(EVP_MD_CTX_new());
  return theirs && state && EVP_DigestVerifyInit(state.get(), nullptr, nullptr, nullptr, theirs.get()) == 1 &&
         EVP_DigestVerify(state.get(), signature.data(), signature.size(), bytes_of(bytes).data(),
                          bytes.size()) == 1;
}

std::optional<PublicKey> key_of(X509* certificate) {
  return certificate == nullptr ? std::nullopt : raw_key_of(X509_get0_pubkey(certificate));
}

}  // namespace caravan::link
