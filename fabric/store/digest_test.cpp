#include "fabric/store/digest.h"

#include <gmock/gmock.h>

namespace caravan::fabric {
namespace {

TEST(Digest, IsSha256) {
  Sha256 sha;
  sha.update("a");
  sha.update("bc");
  const Digest digest = sha.finish();
  EXPECT_EQ(hex(digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
      << "FIPS 180-2, B.1";
  EXPECT_EQ(digest_of("abc"), digest);
}

TEST(Digest, IsReadBackFromItsText) {
  const Digest digest = digest_of("x");
  EXPECT_EQ(parse_digest(hex(digest)), digest);
  const std::string text = hex(digest);
  for (const std::string& bad :
       {text.substr(1), text + "0", "G" + text.substr(1), "A" + text.substr(1), std::string()}) {
    EXPECT_FALSE(parse_digest(bad)) << bad;
  }
}

}  // namespace
}  // namespace caravan::fabric
