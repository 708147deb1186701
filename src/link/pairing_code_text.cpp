// The text of an invitation code: see pairing_code.h for its layout.
#include <algorithm>

#include <fmt/format.h>

#include "link/pairing_code.h"

namespace caravan::link {
namespace {

constexpr std::string_view kPrefix = "caravan1:";
constexpr std::size_t kIdBytes = 20;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kMaxHostBytes = 253;  // of a DNS name, RFC 1035

std::string big_endian(std::uint64_t value, std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    bytes[count - 1 - i] = static_cast<char>(value & 255U);
    value >>= 8U;
  }
  return bytes;
}

/// Takes pieces off the front; once one is missing, all are empty.
class Pieces {
 public:
  explicit Pieces(std::string_view bytes) : rest_(bytes) {}
  std::string_view take(std::size_t count) {
    ok_ = ok_ && rest_.size() >= count;
    if (!ok_) return {};
    const std::string_view piece = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return piece;
  }
  std::uint64_t number(std::size_t count) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : bytes_of(take(count))) value = value << 8U | byte;
    return value;
  }
  bool at_end() const { return ok_ && rest_.empty(); }
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool is_host(std::string_view host) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == ':' || c == '-' || c == '_' || c == '%';
  };
  return !host.empty() && host.size() <= kMaxHostBytes && std::all_of(host.begin(), host.end(), fits);
}

std::string checksum_of(std::string_view bytes) {
  return std::string(text_of(ByteView(sha256(bytes)).first(kChecksumBytes)));
}

Error not_a_code(std::string message) {
  return Error{Code::invalid, std::move(message), "copy the whole line that `caravan invite` printed"};
}

/// Lower case, without what people and terminals put in between; digits for letters.
Result<std::string> tidy(std::string_view text) {
  std::string clean;
  for (const char c : text.substr(0, kMaxCodeText)) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '-') continue;
    clean += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (text.size() > kMaxCodeText || !clean.starts_with(kPrefix)) {
    return not_a_code(fmt::format("this is no invitation code: they begin with {}", kPrefix));
  }
  std::string digits = clean.substr(kPrefix.size());
  for (std::size_t i = 0; i < digits.size(); ++i) {
    char& c = digits[i];
    if (c == '0') c = 'o';
    if (c == '1') c = 'l';
    if (c == '8') c = 'b';
    if ((c >= 'a' && c <= 'z') || (c >= '2' && c <= '7')) continue;
    return not_a_code(
        fmt::format("character {} after {} of the code is none that a code has", i + 1, kPrefix));
  }
  return digits;
}

}  // namespace

Result<InvitationCode> InvitationCode::make(const PublicKey& owner, std::vector<CodeAddress> addresses,
                                            std::string secret, std::uint64_t ends_at) {
  if (secret.size() != kSecretBytes) return Error{Code::bug, "the secret of a code is 16 bytes long", ""};
  if (addresses.size() > kMaxCodeAddresses) addresses.resize(kMaxCodeAddresses);
  for (const CodeAddress& address : addresses) {
    if (is_host(address.host) && address.port != 0) continue;
    return Error{Code::invalid, "an address that cannot be put into a code", "give host and port"};
  }
  InvitationCode code;
  code.owner_id_ = device_id(owner);
  code.secret_ = std::move(secret);
  code.addresses_ = std::move(addresses);
  code.ends_at_ = ends_at;
  return code;
}

std::string InvitationCode::text() const {
  std::string bytes = *from_base32(owner_id_) + secret_ + big_endian(ends_at_, 8);
  bytes += big_endian(addresses_.size(), 1);
  for (const CodeAddress& address : addresses_) {
    bytes += big_endian(address.port, 2);
    bytes += big_endian(address.host.size(), 1);
    bytes += address.host;
  }
  bytes += checksum_of(bytes);
  return std::string(kPrefix) + base32(bytes_of(bytes));
}

Result<InvitationCode> InvitationCode::parse(std::string_view text) {
  const auto digits = tidy(text);
  if (!digits) return digits.error();
  const auto bytes = from_base32(*digits);
  const bool whole = bytes && bytes->size() > kChecksumBytes;
  const std::string_view body =
      whole ? std::string_view(*bytes).substr(0, bytes->size() - kChecksumBytes) : std::string_view();
  if (!whole || checksum_of(body) != bytes->substr(body.size())) {
    return not_a_code("the code has a typing error, or a part of it is missing");
  }
  Pieces pieces(body);
  InvitationCode code;
  code.owner_id_ = base32(bytes_of(pieces.take(kIdBytes)));
  code.secret_ = pieces.take(kSecretBytes);
  code.ends_at_ = pieces.number(8);
  const std::uint64_t count = pieces.number(1);
  bool usable = count <= kMaxCodeAddresses;
  for (std::uint64_t i = 0; i < count && usable; ++i) {
    CodeAddress address;
    address.port = static_cast<std::uint16_t>(pieces.number(2));
    address.host = pieces.take(pieces.number(1));
    usable = is_host(address.host) && address.port != 0;
    code.addresses_.push_back(std::move(address));
  }
  if (!usable || !pieces.at_end()) {
    return not_a_code("the code was made by a version of caravan that this one does not know");
  }
  return code;
}

std::string InvitationCode::describe() const {
  std::string places;
  for (const CodeAddress& address : addresses_) {
    const bool is_v6 = address.host.find(':') != std::string::npos;
    places += is_v6 ? fmt::format(" [{}]:{}", address.host, address.port)
                    : fmt::format(" {}:{}", address.host, address.port);
  }
  return fmt::format("invitation of {} at{}", short_id(owner_id_), places.empty() ? " no address" : places);
}

}  // namespace caravan::link
