#include "fabric/net/seal.h"

#include <gtest/gtest.h>

#include "fabric/net/frame_reader.h"
#include "fabric/net/testing.h"
#include "fabric/wire/messages.h"

namespace caravan::fabric {
namespace {

std::string frame_of(std::uint32_t request) {
  std::string frame;
  append_message(frame, Ping{request});
  return frame;
}

/// Three frames as they go over a connection.
std::string sealed_frames() {
  std::string bytes = frame_of(1) + frame_of(2) + frame_of(3);
  Seal().put(bytes, 0);
  return bytes;
}

/// How many of the frames in `bytes` a reader takes.
int taken(const std::string& bytes) {
  auto [near, far] = testing::channel_pair();
  EXPECT_TRUE(near.write_all(bytes, Milliseconds(10000)).ok());  // it does not seal: they are already
  near.finish_writing();
  far.start_sealing();
  FrameReader reader(far, {Role::master, true});
  int count = 0;
  while (reader.next(nullptr)) ++count;
  return count;
}

TEST(FabricSeal, FramesThatAreAsTheyWereSentAreTaken) {
  EXPECT_EQ(taken(sealed_frames()), 3);
  std::string apart = frame_of(1);
  Seal seal;
  seal.put(apart, 0);
  const std::size_t before = apart.size();
  apart += frame_of(2) + frame_of(3);
  seal.put(apart, before);
  EXPECT_EQ(apart, sealed_frames());
}

TEST(FabricSeal, NoFrameIsTakenAfterABitOfItWasChanged) {
  const std::string good = sealed_frames();
  const std::size_t one = frame_of(1).size();
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ static_cast<char>(1U << (bit % 8)));
    EXPECT_EQ(taken(bad), static_cast<int>(bit / 8 / one)) << bit;
  }
}

TEST(FabricSeal, NoFrameIsTakenAfterOneWasLostDoubledOrSwapped) {
  const std::string good = sealed_frames();
  const std::size_t one = frame_of(1).size();
  const std::string a = good.substr(0, one);
  const std::string b = good.substr(one, one);
  const std::string c = good.substr(2 * one);
  EXPECT_EQ(taken(b + c), 0);
  EXPECT_EQ(taken(a + c), 1);
  EXPECT_EQ(taken(a + a + b + c), 1);
  EXPECT_EQ(taken(a + c + b), 1);
}

TEST(FabricSeal, AChannelSealsFromItsGreetingOn) {
  auto [near, far] = testing::channel_pair();
  near.start_sealing();
  far.start_sealing();
  for (const std::uint32_t request : {1U, 2U, 3U}) {
    ASSERT_TRUE(near.write_all(frame_of(request), Milliseconds(10000)).ok());
  }
  std::string all(sealed_frames().size(), '\0');
  std::size_t size = 0;
  while (size < all.size()) size += *far.read_some(all.data() + size, all.size() - size, nullptr);
  EXPECT_EQ(all, sealed_frames());
}

}  // namespace
}  // namespace caravan::fabric
