// Pairing by a code that an owner makes and a person carries to the new device, as text or QR. Pure.
//
// The text is "caravan1:" and base32 (RFC 4648, either case; as capitals it fits a QR code's alphanumeric
// mode) of
//     20 bytes   owner's device id (the first 20 bytes of SHA-256 of its key)
//     16 bytes   secret, random
//      8 bytes   when it ends, seconds since 1970, big-endian: for a hint only, the owner's clock decides
//      1 byte    number of addresses, 0 to 8; each: 2 bytes port, 1 byte length of the host, the host
//      4 bytes   the first of SHA-256 over all before
// The joiner speaks only to a device whose key is the owner's; both prove that they know the secret by an
// HMAC over both keys and the channel binding (RFC 9266), which is worth nothing on another connection.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "link/pairing_message.h"

namespace caravan::link {

inline constexpr std::chrono::minutes kCodeLifetime{10};
inline constexpr std::chrono::seconds kGuessCost{1};  ///< until a wrong proof is answered
inline constexpr std::chrono::seconds kCodeStep{10};  ///< for each message of the other device
inline constexpr std::size_t kSecretBytes = 16;
inline constexpr std::size_t kMaxCodeAddresses = 8;
inline constexpr std::size_t kMaxCodeText = 4096;

struct CodeAddress {
  std::string host;  ///< IPv4, IPv6 without brackets, or a name
  std::uint16_t port = 0;

  bool operator==(const CodeAddress&) const = default;
};

/// Holds the secret, and gives it away only in text(): there is nothing to print or log by mistake.
class InvitationCode {
 public:
  /// `secret` is kSecretBytes from random_bytes. Code::invalid for an address that cannot be in a code.
  static Result<InvitationCode> make(const PublicKey& owner, std::vector<CodeAddress> addresses,
                                     std::string secret, std::uint64_t ends_at);
  /// Spaces, line breaks and dashes are passed over; 0, 1 and 8 are read as o, l and b, which is what they
  /// were. Code::invalid says what is wrong: no code at all, a character and its place, or a typing error
  /// somewhere. No error repeats the text.
  static Result<InvitationCode> parse(std::string_view text);

  /// The code itself. Whoever reads it can join.
  std::string text() const;
  /// For people and logs: whose it is and where it leads.
  std::string describe() const;

  const std::string& owner_id() const { return owner_id_; }
  const std::vector<CodeAddress>& addresses() const { return addresses_; }
  std::uint64_t ends_at() const { return ends_at_; }  ///< seconds since 1970

  Hash joiner_proof(const PublicKey& joiner, const PublicKey& owner, std::string_view binding) const;
  Hash owner_proof(const PublicKey& joiner, const PublicKey& owner, std::string_view binding) const;

 private:
  InvitationCode() = default;
  Hash proof(std::string_view purpose, const PublicKey& joiner, const PublicKey& owner,
             std::string_view binding) const;

  std::string owner_id_;
  std::string secret_;
  std::vector<CodeAddress> addresses_;
  std::uint64_t ends_at_ = 0;
};

/// An owner's code in force, for all connections together: for ten minutes, once. A wrong proof changes
/// nothing, so that no stranger can hold up who has the code; it costs the guesser a second (CodeOwner).
class Invitation {
 public:
  Invitation(InvitationCode code, TimePoint now) : code_(std::move(code)), ends_(now + kCodeLifetime) {}

  bool is_open(TimePoint now) const { return !used_ && now < ends_; }
  TimePoint ends() const { return ends_; }
  const InvitationCode& code() const { return code_; }

  /// The owner's answer to a right proof, which uses the code up. Code::unavailable when it is used or too
  /// old; Code::invalid for a wrong proof.
  Result<Hash> redeem(const Hash& joiner_proof, const PublicKey& joiner, const PublicKey& owner,
                      std::string_view binding, TimePoint now);
  /// After a right proof, when the device could not be admitted all the same.
  void give_back() { used_ = false; }

 private:
  InvitationCode code_;
  TimePoint ends_;
  bool used_ = false;
};

struct CodeSides {
  PublicKey own{};
  PublicKey peer{};  ///< as TLS has verified it
  std::string binding;
};

class CodeJoiner {
 public:
  CodeJoiner(InvitationCode code, CodeSides sides, std::string name)
      : code_(std::move(code)), sides_(std::move(sides)), name_(std::move(name)) {}

  /// Fails, without having said anything, when the peer is not the owner of the code.
  PairingActions start(TimePoint now);
  PairingActions on(std::string_view message, TimePoint now);
  PairingActions on_time(TimePoint now);
  std::optional<TimePoint> next_deadline() const;
  bool is_over() const { return state_ == State::over; }
  /// How long a message may be now: only the owner of the code, which TLS has proved, may send the
  /// membership.
  std::size_t max_message_bytes() const;

 private:
  enum class State { idle, welcome, over };
  PairingActions fail(Error error, bool tell_peer = true);

  InvitationCode code_;
  CodeSides sides_;
  std::string name_;
  State state_ = State::idle;
  TimePoint deadline_;
};

/// `invitation` has to outlive it. One proof a connection; a wrong one is answered kGuessCost later, and
/// until then nothing is read.
class CodeOwner {
 public:
  CodeOwner(Invitation& invitation, CodeSides sides, TimePoint now)
      : invitation_(&invitation), sides_(std::move(sides)), deadline_(now + kCodeStep) {}

  PairingActions on(std::string_view message, TimePoint now);
  /// As in NumericOwner: after AdmitDevice.
  PairingActions welcome(std::string document);
  PairingActions cannot_admit(Error error);
  PairingActions on_time(TimePoint now);
  std::optional<TimePoint> next_deadline() const;
  bool is_over() const { return state_ == State::over; }

 private:
  enum class State { proof, penalty, admitting, over };
  PairingActions fail(Error error, bool tell_peer = true);

  Invitation* invitation_;
  CodeSides sides_;
  State state_ = State::proof;
  TimePoint deadline_;
  Error wrong_{};  ///< what is told when the penalty is over
  Hash answer_{};
};

}  // namespace caravan::link
