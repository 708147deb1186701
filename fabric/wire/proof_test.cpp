#include "fabric/wire/proof.h"

#include <gtest/gtest.h>

#include "fabric/wire/golden.h"

namespace caravan::fabric {
namespace {

TEST(FabricProof, DependsOnEverythingThatWasSaid) {
  const Key key = testing::counting<32>(1);
  const Mac proof = proof_of(key, Side::connecting, "ab", "c");
  EXPECT_TRUE(same(proof, proof_of(key, Side::connecting, "ab", "c")));
  EXPECT_FALSE(same(proof, proof_of(key, Side::accepting, "ab", "c")));
  EXPECT_FALSE(same(proof, proof_of(key, Side::connecting, "a", "bc")));
  EXPECT_FALSE(same(proof, proof_of(key, Side::connecting, "ab", "d")));
  EXPECT_FALSE(same(proof, proof_of(testing::counting<32>(2), Side::connecting, "ab", "c")));
}

TEST(FabricProof, GoldenMac) {
  // printf 'caravan fabric 1 connecting\x02\0\0\0abc' | openssl dgst -sha256 -mac HMAC -macopt
  // hexkey:0102...20
  const Mac proof = proof_of(testing::counting<32>(1), Side::connecting, "ab", "c");
  const std::array<std::uint8_t, 4> begin{0x79, 0xdc, 0xc9, 0x51};
  EXPECT_TRUE(std::equal(begin.begin(), begin.end(), proof.begin()));
}

TEST(FabricProof, NoncesDiffer) { EXPECT_NE(*fresh_nonce(), *fresh_nonce()); }

TEST(FabricProof, KeysAreHexadecimal) {
  const std::string digits = "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
  EXPECT_EQ(*parse_key(" " + digits + "\n"), testing::counting<32>(0));
  EXPECT_FALSE(parse_key(digits.substr(1)).ok());
  EXPECT_FALSE(parse_key("g" + digits.substr(1)).ok());
  EXPECT_FALSE(parse_key("").ok());
}

TEST(FabricProof, AHelloOfAnotherBuildIsRefused) {
  Hello hello;
  hello.role = Role::master;
  hello.engine = "b1";
  EXPECT_TRUE(check_hello(hello, "b1", Role::master, Role::peer).ok());
  EXPECT_FALSE(check_hello(hello, "b2", Role::master, Role::peer).ok());
  EXPECT_FALSE(check_hello(hello, "b1", Role::worker, Role::worker).ok());
  hello.version = 1;
  EXPECT_EQ(check_hello(hello, "b1", Role::master, Role::peer).error().code, Code::incompatible);
}

}  // namespace
}  // namespace caravan::fabric
