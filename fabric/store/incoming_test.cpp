#include "fabric/store/incoming.h"

#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

class IncomingTest : public StoreTest {
 protected:
  const std::string large_ = content_of(kLarge, 1);
  const Digest hash_ = digest_of(large_);
  std::string_view part(std::size_t from, std::size_t to) const {
    return std::string_view(large_).substr(from, to - from);
  }
};

TEST_F(IncomingTest, StoresWhatComesInChunks) {
  Weights weights(nullptr, open_store());
  Incoming incoming(weights);
  const std::string small = content_of(kSmall, 2);
  incoming.keep(hash_, kLarge, 0, part(0, 1'000'000));
  incoming.keep(digest_of(small), kSmall, 0, small);
  incoming.keep(hash_, kLarge, 1'000'000, part(1'000'000, kLarge));
  EXPECT_TRUE(incoming.finish(hash_).ok());
  EXPECT_TRUE(incoming.finish(digest_of(small)).ok());
  EXPECT_EQ(get(weights, large_), large_);
  EXPECT_EQ(get(weights, small), small);
}

TEST_F(IncomingTest, GoesOnWithWhatWasKept) {
  {
    Weights weights(nullptr, open_store());
    EXPECT_EQ(weights.kept(hash_, kLarge), 0U);
    Incoming(weights).keep(hash_, kLarge, 0, part(0, 1'000'000));
  }
  Weights weights(nullptr, open_store());
  ASSERT_EQ(weights.kept(hash_, kLarge), 1'000'000U);
  EXPECT_EQ(weights.kept(hash_, 900'000), 0U) << "a smaller tensor has no part";
  std::string kept(1'000'000, '\0');
  ASSERT_TRUE(weights.read_kept(hash_, kept));
  EXPECT_EQ(kept, part(0, 1'000'000));
  Incoming incoming(weights);
  incoming.keep(hash_, kLarge, 1'000'000, part(1'000'000, kLarge));
  EXPECT_TRUE(incoming.finish(hash_).ok());
  EXPECT_EQ(get(weights, large_), large_);
}

TEST_F(IncomingTest, OfAWholePartTheLastByteComesAgain) {
  { const auto store = open_store(); }
  write_bytes(store_folder() / "parts" / hex(hash_), large_);  // killed before it got its name
  Weights weights(nullptr, open_store());
  ASSERT_EQ(weights.kept(hash_, kLarge), kLarge - 1);
  Incoming incoming(weights);
  incoming.keep(hash_, kLarge, kLarge - 1, part(kLarge - 1, kLarge));
  EXPECT_TRUE(incoming.finish(hash_).ok());
  EXPECT_EQ(get(weights, large_), large_);
}

TEST_F(IncomingTest, WhatDoesNotFitTogetherIsNotStored) {
  Weights weights(nullptr, open_store());
  Incoming incoming(weights);
  incoming.keep(hash_, kLarge, 0, part(0, 100));
  incoming.keep(hash_, kLarge, 200, part(200, kLarge));
  EXPECT_TRUE(incoming.finish(hash_).ok());
  EXPECT_FALSE(weights.has(hash_, kLarge));
  const Digest other = digest_of("other");
  incoming.keep(other, kLarge, 1000, part(1000, kLarge));  // of which nothing is here
  EXPECT_TRUE(incoming.finish(other).ok());
  EXPECT_FALSE(weights.has(other, kLarge));
  EXPECT_EQ(weights.kept(hash_, kLarge), 100U) << "was right as far as anybody knows";
}

TEST_F(IncomingTest, WhatIsWrongLeavesNothing) {
  Weights weights(nullptr, open_store());
  Incoming incoming(weights);
  incoming.keep(hash_, kLarge, 0, content_of(kLarge, 2));
  EXPECT_EQ(incoming.finish(hash_).error().code, Code::incompatible);
  EXPECT_EQ(weights.kept(hash_, kLarge), 0U);
  incoming.keep(hash_, kLarge, 0, part(0, 100));
  incoming.discard(hash_);
  incoming.discard(hash_);
  EXPECT_EQ(weights.kept(hash_, kLarge), 0U);
  EXPECT_TRUE(files_in(store_folder() / "parts").empty());
}

TEST_F(IncomingTest, ManyBegunAtOnceTakeFewFiles) {
  Weights weights(nullptr, open_store(mebibytes(1000)));
  Incoming incoming(weights);
  for (char i = 0; i < 20; ++i) {
    incoming.keep(digest_of(content_of(kLarge, i)), kLarge, 0, content_of(kLarge, i).substr(0, 1000));
  }
  EXPECT_EQ(files_in(store_folder() / "parts").size(), 20U) << "those that were closed can be gone on with";
  incoming.keep(digest_of(content_of(kLarge, 0)), kLarge, 1000, content_of(kLarge, 0).substr(1000));
  EXPECT_TRUE(incoming.finish(digest_of(content_of(kLarge, 0))).ok());
  EXPECT_EQ(get(weights, content_of(kLarge, 0)), content_of(kLarge, 0));
}

TEST_F(IncomingTest, WithoutAStoreNothingHappens) {
  Weights weights(nullptr, Error{Code::not_found, "started without a store", ""});
  EXPECT_EQ(weights.kept(hash_, kLarge), 0U);
  std::string kept(10, '\0');
  EXPECT_FALSE(weights.read_kept(hash_, kept));
  Incoming incoming(weights);
  incoming.keep(hash_, kLarge, 0, large_);
  EXPECT_TRUE(incoming.finish(hash_).ok());
}

}  // namespace
}  // namespace caravan::fabric
