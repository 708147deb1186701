#include "link/identity.h"

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "link/crypto.h"

namespace caravan::link {
namespace {

using ::testing::HasSubstr;

std::array<std::uint8_t, 32> seed_from(std::string_view digits) { return *exactly<32>(from_hex(digits)); }

// RFC 8032, section 7.1, test 1.
constexpr std::string_view kSeed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
constexpr std::string_view kKey = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

void write(const fs::path& path, std::string_view text, unsigned mode = 0600) {
  ASSERT_TRUE(write_file_atomically(path, text, mode).ok());
}

TEST(Crypto, EncodesAsTheRfcsSay) {
  EXPECT_EQ(hex(bytes_of("\x01\xaf")), "01af");
  EXPECT_EQ(from_hex("01af"), "\x01\xaf");
  for (const auto* bad : {"0", "0g", "AF", "0x"}) EXPECT_EQ(from_hex(bad), std::nullopt) << bad;
  // RFC 4648, section 10.
  const std::array<std::pair<std::string_view, std::string_view>, 7> vectors{{{"", ""},
                                                                              {"f", "my"},
                                                                              {"fo", "mzxq"},
                                                                              {"foo", "mzxw6"},
                                                                              {"foob", "mzxw6yq"},
                                                                              {"fooba", "mzxw6ytb"},
                                                                              {"foobar", "mzxw6ytboi"}}};
  for (const auto& [plain, coded] : vectors) {
    EXPECT_EQ(base32(bytes_of(plain)), coded);
    EXPECT_EQ(from_base32(coded), plain);
  }
  EXPECT_EQ(from_base32("MZXW6YTBOI"), "foobar");
  for (const auto* bad : {"m", "mz1", "mz", "my======", "mzx", "m!"}) {
    EXPECT_EQ(from_base32(bad), std::nullopt) << bad;  // "mz", "mzx": bits that no encoder leaves
  }
  // RFC 4231, test case 2.
  EXPECT_EQ(hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_TRUE(same_secret("abc", "abc"));
  EXPECT_FALSE(same_secret("abc", "abd"));
  EXPECT_FALSE(same_secret("abc", "ab"));
  EXPECT_NE(random_bytes(16), random_bytes(16));
}

TEST(Identity, GoldenKeyAndId) {
  const auto identity = Identity::from_seed(seed_from(kSeed));
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(key_text(identity->public_key()), kKey);
  EXPECT_EQ(identity->id(), base32(ByteView(sha256(*from_hex(kKey))).first(20)));
  EXPECT_EQ(identity->id().size(), 32U);
  EXPECT_EQ(key_from_text(kKey), identity->public_key());
  EXPECT_EQ(short_id(identity->id()).size(), 9U);
  EXPECT_EQ(short_id("abcdefghijk"), "abcd-efgh");
  EXPECT_EQ(short_id("abc"), "abc");
}

TEST(Identity, RefusesOtherTextsOfKeys) {
  EXPECT_FALSE(key_from_text(""));
  EXPECT_FALSE(key_from_text(kKey.substr(2)));
  EXPECT_FALSE(key_from_text(std::string(kKey).append("00")));
  EXPECT_FALSE(key_from_text(std::string(kKey).replace(0, 1, "D")));
  EXPECT_FALSE(signature_from_text(kKey));
  const Signature signature{1, 2, 3};
  EXPECT_EQ(signature_from_text(signature_text(signature)), signature);
}

TEST(Identity, ASignatureHoldsForItsContextItsMessageAndItsKeyOnly) {
  const auto mine = Identity::from_seed(seed_from(kSeed));
  const auto other = Identity::generate();
  ASSERT_TRUE(mine.ok() && other.ok());
  Signature signature = mine->sign("purpose", "text");
  EXPECT_TRUE(verify(mine->public_key(), "purpose", "text", signature));
  EXPECT_EQ(signature, mine->sign("purpose", "text"));
  EXPECT_FALSE(verify(mine->public_key(), "purpos", "etext", signature));
  EXPECT_FALSE(verify(mine->public_key(), "purpose", "texts", signature));
  EXPECT_FALSE(verify(other->public_key(), "purpose", "text", signature));
  signature[40] ^= 1U;
  EXPECT_FALSE(verify(mine->public_key(), "purpose", "text", signature));
}

TEST(Identity, CertificateCarriesTheKeyAndIsSignedByIt) {
  const auto identity = Identity::generate();
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(key_of(identity->certificate()), identity->public_key());
  EXPECT_EQ(X509_verify(identity->certificate(), identity->key()), 1);
  EXPECT_EQ(key_of(nullptr), std::nullopt);
  X509* other = X509_new();
  EVP_PKEY* curve = EVP_EC_gen("P-256");
  ASSERT_EQ(X509_set_pubkey(other, curve), 1);
  EXPECT_EQ(key_of(other), std::nullopt);
  EVP_PKEY_free(curve);
  X509_free(other);
}

TEST(Identity, IsMadeOnceAndReadAgain) {
  const auto folder = TemporaryFolder::make("identity-test");
  ASSERT_TRUE(folder.ok());
  const fs::path home = folder->path() / "new" / "home";
  const auto first = Identity::load_or_create(home);
  ASSERT_TRUE(first.ok()) << first.error().message;
  const auto second = Identity::load_or_create(home);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(first->public_key(), second->public_key());
  EXPECT_EQ(X509_cmp(first->certificate(), second->certificate()), 0);
  for (const auto* name : {"device.key", "device.crt"}) {
    struct stat info {};
    ASSERT_EQ(::stat((home / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U) << name;
  }
  fs::remove(home / "device.crt");
  const auto third = Identity::load_or_create(home);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->public_key(), first->public_key());
  EXPECT_TRUE(fs::exists(home / "device.crt"));
}

TEST(Identity, TwoProcessesAtOnceMakeOneKey) {
  const auto folder = TemporaryFolder::make("identity-test");
  ASSERT_TRUE(folder.ok());
  std::array<std::string, 4> ids;
  std::vector<std::thread> threads;
  for (std::string& id : ids) {
    threads.emplace_back([&] {
      const auto identity = Identity::load_or_create(folder->path());
      if (identity) id = identity->id();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids[0].size(), 32U);
  for (const std::string& id : ids) EXPECT_EQ(id, ids[0]);
}

TEST(Identity, NeverReplacesWhatIsBroken) {
  const auto folder = TemporaryFolder::make("identity-test");
  ASSERT_TRUE(folder.ok());
  const fs::path key = folder->path() / "device.key";
  ASSERT_TRUE(Identity::load_or_create(folder->path()).ok());
  const std::string good = *read_file(key, Bytes{10'000});

  const std::string encrypted =
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg=\n"
      "-----END ENCRYPTED PRIVATE KEY-----\n";
  for (const std::string& bad : {std::string(), std::string("junk"), good.substr(0, 60), encrypted}) {
    write(key, bad);
    const auto identity = Identity::load_or_create(folder->path());
    ASSERT_FALSE(identity.ok()) << bad;
    EXPECT_THAT(identity.error().message, HasSubstr("device.key"));
    EXPECT_FALSE(identity.error().hint.empty());
    EXPECT_EQ(*read_file(key, Bytes{10'000}), bad);
  }

  write(key, good);
  ASSERT_EQ(::chmod(key.c_str(), 0640), 0);
  const auto open_to_others = Identity::load_or_create(folder->path());
  ASSERT_FALSE(open_to_others.ok());
  EXPECT_THAT(open_to_others.error().message, HasSubstr("mode 640"));
  EXPECT_THAT(open_to_others.error().hint, HasSubstr("chmod 600"));

  ASSERT_EQ(::chmod(key.c_str(), 0600), 0);
  write(folder->path() / "device.crt", "another");
  const auto stranger = Identity::load_or_create(folder->path());
  ASSERT_FALSE(stranger.ok());
  EXPECT_THAT(stranger.error().message, HasSubstr("device.crt"));
}

TEST(Identity, DoesNotOpenWhatWouldBlock) {
  const auto folder = TemporaryFolder::make("identity-test");
  ASSERT_TRUE(folder.ok());
  ASSERT_EQ(::mkfifo((folder->path() / "device.key").c_str(), 0600), 0);
  const auto identity = Identity::load_or_create(folder->path());
  ASSERT_FALSE(identity.ok());
  EXPECT_THAT(identity.error().message, HasSubstr("not a file"));
}

}  // namespace
}  // namespace caravan::link
