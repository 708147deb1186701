#include "doctor/listeners.h"

#include <gmock/gmock.h>

namespace caravan::doctor {
namespace {

using ::testing::IsEmpty;

// As a little-endian machine prints it: 0.0.0.0:50052, 127.0.0.1:8080, and a connection.
constexpr const char* kTcp =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000:C384 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 "
    "100\n"
    "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 "
    "100\n"
    "   2: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0 "
    "100\n";
constexpr const char* kTcp6 =
    "   0: 00000000000000000000000000000000:1D09 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 99 "
    "1\n"
    "   1: 00000000000000000000000001000000:1D0A 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 98 "
    "1\n"
    "   2: 0000000000000000FFFF00000100007F:1D0B 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 97 "
    "1\n";

TEST(Listeners, OfTheKernelsTables) {
  const auto tcp = parse_listeners(kTcp, ListenerTable::tcp4);
  ASSERT_EQ(tcp.size(), 2U);
  EXPECT_EQ(tcp[0].port, 50052);
  EXPECT_FALSE(tcp[0].loopback);
  EXPECT_EQ(tcp[0].inode, 4711U);
  EXPECT_EQ(tcp[1].port, 8080);
  EXPECT_TRUE(tcp[1].loopback);
  const auto tcp6 = parse_listeners(kTcp6, ListenerTable::tcp6);
  ASSERT_EQ(tcp6.size(), 3U);
  EXPECT_FALSE(tcp6[0].loopback);
  EXPECT_TRUE(tcp6[1].loopback);
  EXPECT_TRUE(tcp6[2].loopback);
  const auto udp =
      parse_listeners("  7: 00000000:1D09 00000000:0000 07 0:0 00:0 0 0 0 55 2\n", ListenerTable::udp4);
  ASSERT_EQ(udp.size(), 1U);
  EXPECT_TRUE(udp[0].udp);
  EXPECT_EQ(udp[0].port, 7433);
}

TEST(Listeners, NoiseIsLeftOut) {
  for (const char* text : {"", "\n", "0: 00000000 00000000:0000 0A 0 0 0 0 0 1", "0: 0:0 0:0 0A 0 0 0 0 0 1",
                           "0: 00000000:1FFFF 00000000:0000 0A 0 0 0 0 0 1",
                           "0: 00000000:1F90 00000000:0000 0A 0 0 0 0 0 x", "0: 00000000:1F90 0 0A 0"}) {
    EXPECT_THAT(parse_listeners(text, ListenerTable::tcp4), IsEmpty()) << text;
  }
  EXPECT_THAT(parse_listeners(kTcp, ListenerTable::tcp6), IsEmpty());
}

TEST(Listeners, TheirPrograms) {
  const auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path proc = folder->path() / "proc";
  ASSERT_TRUE(make_private_folder(proc / "net").ok());
  ASSERT_TRUE(make_private_folder(proc / "321" / "fd").ok());
  ASSERT_TRUE(make_private_folder(proc / "9").ok());
  ASSERT_TRUE(write_file_atomically(proc / "net" / "tcp", kTcp).ok());
  ASSERT_TRUE(write_file_atomically(proc / "321" / "comm", "rpc-server\n").ok());
  fs::create_symlink("socket:[4711]", proc / "321" / "fd" / "5");
  fs::create_symlink("/dev/null", proc / "321" / "fd" / "0");
  const auto all = read_listeners(folder->path());
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].owner(), "rpc-server (process 321)");
  EXPECT_EQ(all[1].owner(), "");
  EXPECT_THAT(read_listeners(folder->path() / "nowhere"), IsEmpty());
}

}  // namespace
}  // namespace caravan::doctor
