// Helpers of the tests of src/link: identities that are always the same.
#pragma once

#include "link/identity.h"

namespace caravan::link {

/// The identity whose seed is 32 times `fill`.
inline Identity test_identity(std::uint8_t fill) {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(fill);
  return std::move(Identity::from_seed(seed)).value();
}

/// 32 times `fill`: a nonce, or a key where nothing is signed.
inline std::array<std::uint8_t, 32> filled(std::uint8_t fill) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(fill);
  return bytes;
}

}  // namespace caravan::link
