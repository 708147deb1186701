#include "fabric/module/inbox.h"

#include <string>

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

TEST(Inbox, PutsChunksTogether) {
  Inbox inbox;
  std::string to(5, '?');
  const auto request = inbox.expect(to);
  EXPECT_TRUE(inbox.take(Data{request, 0, "abc"}));
  EXPECT_TRUE(inbox.waits_for(request));
  EXPECT_TRUE(inbox.take(Data{request, 3, "de"}));
  EXPECT_FALSE(inbox.waits_for(request));
  EXPECT_FALSE(inbox.waits());
  EXPECT_EQ(to, "abcde");
}

TEST(Inbox, RefusesWhatNobodyAskedFor) {
  Inbox inbox;
  std::string to(5, '?');
  const auto request = inbox.expect(to);
  EXPECT_FALSE(inbox.take(Data{request + 1, 0, "abc"}));
  EXPECT_FALSE(inbox.take(Data{request, 1, "abc"}));
  EXPECT_FALSE(inbox.take(Data{request, 0, ""}));
  EXPECT_FALSE(inbox.take(Data{request, 0, "abcdef"}));
  EXPECT_FALSE(inbox.take(Pong{request, 0, 0}));
  EXPECT_EQ(to, "?????");
  EXPECT_TRUE(inbox.take(Data{request, 0, "abcde"}));
  EXPECT_FALSE(inbox.take(Data{request, 5, "f"})) << "it has come";
}

TEST(Inbox, GivenUpReadsAreZerosAndAreNotWrittenLater) {
  Inbox inbox;
  std::string to(3, '?');
  const auto request = inbox.expect(to);
  EXPECT_TRUE(inbox.take(Data{request, 0, "a"}));
  inbox.give_up();
  EXPECT_EQ(to, std::string("a\0\0", 3));
  EXPECT_FALSE(inbox.waits());
  EXPECT_FALSE(inbox.take(Data{request, 1, "bc"}));
}

TEST(Inbox, PongsAreNoReads) {
  Inbox inbox;
  const auto request = inbox.expect_other();
  EXPECT_FALSE(inbox.waits());
  EXPECT_TRUE(inbox.waits_for(request));
  EXPECT_TRUE(inbox.take(Pong{request, 1, 2}));
  EXPECT_FALSE(inbox.take(Pong{request, 1, 2}));
}

}  // namespace
}  // namespace caravan::fabric
