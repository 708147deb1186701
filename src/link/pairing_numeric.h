// Pairing by numeric comparison: both screens show the same six digits, and a person says so at the owner.
// Pure state machines, one for each side of one connection; no socket, clock or random numbers of their own.
//
// After LE Secure Connections (Bluetooth Core Specification, Vol 3, Part H, 2.3.5.6.2; functions f4 and g2
// in 2.2.6 and 2.2.9), with SHA-256 for AES-CMAC, the Ed25519 keys that TLS has verified for the exchanged
// P-256 keys, and the connection's channel binding (RFC 9266, "tls-exporter": 32 bytes) mixed into both:
//     joiner -> owner   pair_hello   its name
//     owner  -> joiner  pair_commit  commitment = f4(owner's key, joiner's key, binding, owner's nonce)
//     joiner -> owner   pair_nonce   joiner's nonce
//     owner  -> joiner  pair_reveal  owner's nonce; the joiner checks the commitment
//     both show         digits       = g2(joiner's key, owner's key, binding, both nonces)
//     owner  -> joiner  pair_welcome after its person agreed; the joiner asks its own only if it is told to
// Who stands in the middle has to fix its nonce towards either side before it knows the other's, so that it
// can choose no digits: they are the same on both screens by chance only, once in a million. Three tries are
// allowed.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "link/pairing_message.h"

namespace caravan::link {

inline constexpr int kPairingTries = 3;
inline constexpr std::chrono::seconds kPairingWindow{300};
inline constexpr std::chrono::seconds kPairingStep{10};    ///< for each message of the other device
inline constexpr std::chrono::seconds kPairingPerson{60};  ///< to compare the digits
/// The joiner waits this much longer, so that it hears that the owner's person did not answer.
inline constexpr std::chrono::seconds kPairingGrace{15};

Hash pairing_commitment(const PublicKey& owner, const PublicKey& joiner, std::string_view binding,
                        const Hash& owner_nonce);
/// Six decimal digits.
std::string pairing_digits(const PublicKey& joiner, const PublicKey& owner, std::string_view binding,
                           const Hash& joiner_nonce, const Hash& owner_nonce);

/// When an owner lets others try: for a while, one at a time, three tries. A try counts when it fails after a
/// valid pair_hello, however it fails.
class PairingWindow {
 public:
  explicit PairingWindow(TimePoint now, std::chrono::seconds open_for = kPairingWindow)
      : closes_at_(now + open_for) {}

  bool is_open(TimePoint now) const { return now < closes_at_ && failures_ < kPairingTries; }
  TimePoint closes_at() const { return closes_at_; }
  int tries_left() const { return kPairingTries - failures_; }

  /// Code::unavailable when it is closed, or another try is under way.
  Result<void> begin(TimePoint now);
  void end(bool succeeded);

 private:
  TimePoint closes_at_;
  int failures_ = 0;
  bool busy_ = false;
};

/// What both sides know before the first message. Keys are those that TLS has verified; the nonce is 32 bytes
/// from random_bytes, used once.
struct PairingSides {
  PublicKey own{};
  PublicKey peer{};
  std::string binding;
  Hash nonce{};
};

/// Whether the joiner waits for its own person too. One key press at the owner keeps everybody out of the
/// cluster; a second one at the joiner keeps the joiner out of a stranger's (docs/protocol.md).
enum class JoinerAsks { nobody, its_person };

/// Of the device that wants in.
class NumericJoiner {
 public:
  NumericJoiner(PairingSides sides, std::string name, JoinerAsks asks = JoinerAsks::nobody)
      : sides_(std::move(sides)), name_(std::move(name)), agreed_(asks == JoinerAsks::nobody) {}

  PairingActions start(TimePoint now);
  PairingActions on(std::string_view message, TimePoint now);
  /// The person's answer: whether both screens show the same. "No" ends the try also where nobody is asked;
  /// "yes" is waited for with JoinerAsks::its_person only.
  PairingActions confirm(bool same, TimePoint now);
  PairingActions on_time(TimePoint now);
  std::optional<TimePoint> next_deadline() const;
  bool is_over() const { return state_ == State::over; }
  /// How long a message may be now: only who has been shown as digits may send the membership.
  std::size_t max_message_bytes() const;

 private:
  enum class State { idle, commit, reveal, person, over };
  PairingActions handle(const PairCommit& message, TimePoint now);
  PairingActions handle(const PairReveal& message, TimePoint now);
  PairingActions handle(const PairWelcome& message, TimePoint now);
  PairingActions handle(const PairRefusal& message, TimePoint now);
  template <typename Other>
  PairingActions handle(const Other& message, TimePoint now);
  PairingActions fail(Error error, bool tell_peer = true);
  PairingActions join_if_agreed();

  PairingSides sides_;
  std::string name_;
  State state_ = State::idle;
  TimePoint deadline_;
  PairCommit commit_;
  std::optional<std::string> welcome_;
  bool agreed_;
};

/// Of the owner. `window` has to outlive it. Destroying it while it is under way is a failed try.
class NumericOwner {
 public:
  NumericOwner(PairingWindow& window, PairingSides sides, std::string cluster, std::string name,
               TimePoint now);
  ~NumericOwner();
  NumericOwner(const NumericOwner&) = delete;
  NumericOwner& operator=(const NumericOwner&) = delete;

  PairingActions on(std::string_view message, TimePoint now);
  PairingActions confirm(bool same, TimePoint now);
  /// After AdmitDevice has been carried out: what to send, with the joiner in the document.
  PairingActions welcome(std::string document);
  /// Instead of welcome(), when it could not be carried out.
  PairingActions cannot_admit(Error error);
  PairingActions on_time(TimePoint now);
  std::optional<TimePoint> next_deadline() const;
  bool is_over() const { return state_ == State::over; }

 private:
  enum class State { hello, nonce, person, admitting, over };
  PairingActions handle(const PairHello& message, TimePoint now);
  PairingActions handle(const PairNonce& message, TimePoint now);
  PairingActions handle(const PairRefusal& message, TimePoint now);
  template <typename Other>
  PairingActions handle(const Other& message, TimePoint now);
  PairingActions fail(Error error, bool tell_peer = true);
  void end(bool succeeded);

  PairingWindow* window_;
  PairingSides sides_;
  std::string cluster_;
  std::string name_;
  State state_ = State::hello;
  TimePoint deadline_;
  std::string joiner_name_;
  bool counts_ = false;  ///< the window has been told that a try began
};

}  // namespace caravan::link
