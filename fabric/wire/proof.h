// Proof that the other end has the plan's key: HMAC-SHA256 (RFC 2104, FIPS 198-1) with the key over both
// HELLOs' payloads, the connecting side's first, under a label for each side, so that neither can be answered
// with its own proof.
#pragma once

#include <string_view>

#include "base/result.h"
#include "fabric/wire/messages.h"

namespace caravan::fabric {

/// Whose proof it is.
enum class Side { connecting, accepting };

/// `connecting` and `accepting` are the payloads of the two HELLOs, as they were sent.
Mac proof_of(const Key& key, Side side, std::string_view connecting, std::string_view accepting);
/// Takes the same time whatever differs.
bool same(const Mac& a, const Mac& b);

/// From the system's source of randomness.
Result<Nonce> fresh_nonce();
/// 64 hexadecimal digits, white space around them.
Result<Key> parse_key(std::string_view text);

/// What a HELLO of the other end must say to be talked to: version, engine, and one of the roles that are
/// expected (`a`, `b`).
Result<void> check_hello(const Hello& theirs, std::string_view own_engine, Role a, Role b);

}  // namespace caravan::fabric
