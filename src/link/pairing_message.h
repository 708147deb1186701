// What two devices say to each other while one joins: JSON, named, length-checked. docs/protocol.md lists
// every field. Pure; what the messages mean is in pairing_numeric.h and pairing_code.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "link/crypto.h"
#include "link/identity.h"

namespace caravan::link {

inline constexpr int kPairingVersion = 1;
/// Of all messages but the two that carry the membership.
inline constexpr std::size_t kMaxPairingBytes = 4096;
inline constexpr std::size_t kMaxWelcomeBytes = (1U << 20U) + kMaxPairingBytes;

/// Joiner, first: it would like to be let in after a comparison of digits.
struct PairHello {
  int version = kPairingVersion;
  std::string name;  ///< of the joining device
};
/// Owner: what it will reveal, fixed before it has seen the joiner's nonce.
struct PairCommit {
  int version = kPairingVersion;
  std::string cluster;
  std::string name;  ///< of the owner's device
  Hash commitment{};
};
struct PairNonce {  ///< joiner
  Hash nonce{};
};
struct PairReveal {  ///< owner
  Hash nonce{};
};
/// Owner, after its person agreed: the membership with the joiner in it, a JSON object as text.
struct PairWelcome {
  std::string membership;
};
/// Joiner, first: it knows the secret of a code.
struct CodeProof {
  int version = kPairingVersion;
  std::string name;
  Hash proof{};
};
/// Owner: so does it.
struct CodeWelcome {
  Hash proof{};
  std::string membership;
};
/// Either, at any time: it ends the try.
struct PairRefusal {
  Error error;
};

using PairingMessage = std::variant<PairHello, PairCommit, PairNonce, PairReveal, PairWelcome, CodeProof,
                                    CodeWelcome, PairRefusal>;

std::string encode(const PairingMessage& message);
/// Code::invalid for more than `max_bytes`, an unknown type or a wrong field; Code::incompatible for another
/// version. Texts in it can be printed.
Result<PairingMessage> decode_pairing_message(std::string_view text,
                                              std::size_t max_bytes = kMaxPairingBytes);

/// What a pairing asks its owner to do, in this order.
struct SendText {
  std::string text;
};
/// Show the digits. At the owner, let the person say whether the other screen shows the same: then confirm().
struct ShowDigits {
  std::string digits;
  PublicKey peer{};
  std::string peer_name;
  std::string cluster;  ///< only at the joiner
};
/// At an owner: add it to the membership, save that, and hand the document to welcome().
struct AdmitDevice {
  PublicKey device{};
  std::string name;
};
/// At the joiner: it is in; check the document with Membership::join and save it.
struct JoinedCluster {
  std::string document;
};
/// It is over. The other side has been told when a SendText came before; close the connection.
struct PairingFailed {
  Error error;
};
using PairingAction = std::variant<SendText, ShowDigits, AdmitDevice, JoinedCluster, PairingFailed>;
using PairingActions = std::vector<PairingAction>;

/// The actions that end a try: tell the other side, if that makes sense, and fail.
PairingActions refuse(Error error, bool tell_peer = true);

}  // namespace caravan::link
