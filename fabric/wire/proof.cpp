#include "fabric/wire/proof.h"

#include <cctype>
#include <cstdlib>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/text.h"

namespace caravan::fabric {
namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Mac proof_of(const Key& key, Side side, std::string_view connecting, std::string_view accepting) {
  std::string text = side == Side::connecting ? "caravan fabric 1 connecting" : "caravan fabric 1 accepting";
  FieldWriter writer(text);
  writer.number(static_cast<std::uint32_t>(connecting.size()));
  text.append(connecting);
  text.append(accepting);
  Mac mac{};
  unsigned size = 0;
  const unsigned char* made =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  // Only a lack of memory can end here; a made-up proof must not be compared with.
  if (made == nullptr || size != mac.size()) std::abort();
  return mac;
}

bool same(const Mac& a, const Mac& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

Result<Nonce> fresh_nonce() {
  Nonce nonce{};
  if (RAND_bytes(nonce.data(), static_cast<int>(nonce.size())) == 1) return nonce;
  return Error{Code::unavailable, "the system gave no random bytes", "try again"};
}

Result<Key> parse_key(std::string_view text) {
  const std::string_view digits = trim(text);
  Key key{};
  const Error wrong{Code::invalid, "the key is not 64 hexadecimal digits",
                    "make one with: openssl rand -hex 32"};
  if (digits.size() != 2 * key.size()) return wrong;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const int high = digit_of(digits[2 * i]);
    const int low = digit_of(digits[2 * i + 1]);
    if (high < 0 || low < 0) return wrong;
    key.at(i) = static_cast<std::uint8_t>(high * 16 + low);
  }
  return key;
}

Result<void> check_hello(const Hello& theirs, std::string_view own_engine, Role a, Role b) {
  if (theirs.version != kProtocolVersion)
    return Error{Code::incompatible,
                 "the other end speaks version " + std::to_string(theirs.version) +
                     " of the fabric's protocol, this one " + std::to_string(kProtocolVersion),
                 "install the same version of Caravan on both devices"};
  if (theirs.engine != own_engine)
    return Error{
        Code::incompatible,
        "the other end runs engine " + printable(theirs.engine) + ", this one " + std::string(own_engine),
        "run `./run build` on the device with the older one"};
  if (theirs.role != a && theirs.role != b)
    return Error{Code::invalid, "the other end has a part that does not belong here",
                 "check the addresses of the plan"};
  return {};
}

}  // namespace caravan::fabric
