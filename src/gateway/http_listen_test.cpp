// Where a server listens: ports, addresses, the node's Unix socket.
#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>

#include "gateway/http_server.h"
#include "gateway/http_test_client.h"

namespace caravan::gateway {
namespace {

using engine::TcpAddress;
using engine::UnixAddress;
using testing::HasSubstr;

Result<std::unique_ptr<HttpServer>> listen(asio::io_context& loop, const engine::HttpAddress& address) {
  return HttpServer::listen(loop.get_executor(), address, {}, say_hello);
}

TEST(HttpListen, SaysThatAPortIsTaken) {
  asio::io_context loop;
  const auto first = listen(loop, TcpAddress{"127.0.0.1", 0});
  ASSERT_TRUE(first.ok());
  const auto port = std::get<TcpAddress>((*first)->address()).port;
  EXPECT_NE(port, 0);
  const auto second = listen(loop, TcpAddress{"127.0.0.1", port});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::unavailable);
  EXPECT_EQ(second.error().message, "port " + std::to_string(port) + " is taken");
  EXPECT_THAT(second.error().hint, HasSubstr("--port"));
}

TEST(HttpListen, RefusesAddressesThatAreNotOurs) {
  asio::io_context loop;
  for (const char* host : {"192.0.2.1", "here"}) {
    const auto server = listen(loop, TcpAddress{host, 0});
    ASSERT_FALSE(server.ok());
    EXPECT_EQ(server.error().code, Code::invalid);
    EXPECT_FALSE(server.error().hint.empty());
  }
}

TEST(HttpListen, ListensOnIpv6) {
  asio::io_context loop;
  const auto server = listen(loop, TcpAddress{"::1", 0});
  if (!server.ok()) GTEST_SKIP() << "no IPv6 here: " << server.error().message;
  EXPECT_NE(std::get<TcpAddress>((*server)->address()).port, 0);
}

void expect_hello(ServerBench& bench) {
  bench.play([](ServerBench& b) -> asio::awaitable<void> {
    const auto reply = co_await ask(b, kGet);
    EXPECT_EQ(reply.body, "hello");
  });
}

TEST(HttpListen, ProtectsItsUnixSocketAndRemovesItAtTheEnd) {
  const auto folder = TemporaryFolder::make("http_server_test");
  ASSERT_TRUE(folder.ok());
  const fs::path path = folder.value().path() / "node.sock";
  ServerBench bench;
  bench.serve(say_hello, {}, UnixAddress{path});
  struct stat info {};
  ASSERT_EQ(lstat(path.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  expect_hello(bench);
  EXPECT_FALSE(fs::exists(path));
}

TEST(HttpListen, ReplacesASocketFileThatNobodyAnswersOn) {
  const auto folder = TemporaryFolder::make("http_server_test");
  ASSERT_TRUE(folder.ok());
  const fs::path path = folder.value().path() / "node.sock";
  {
    asio::io_context loop;
    auto server = listen(loop, UnixAddress{path});
    ASSERT_TRUE(server.ok());
    fs::create_hard_link(path, folder.value().path() / "left over");
  }
  fs::rename(folder.value().path() / "left over", path);
  asio::io_context loop;
  const auto server = listen(loop, UnixAddress{path});
  EXPECT_TRUE(server.ok()) << server.error().message;
}

TEST(HttpListen, LeavesARunningNodeAlone) {
  const auto folder = TemporaryFolder::make("http_server_test");
  ASSERT_TRUE(folder.ok());
  const fs::path path = folder.value().path() / "node.sock";
  ServerBench bench;
  bench.serve(say_hello, {}, UnixAddress{path});
  const auto second = listen(bench.loop, UnixAddress{path});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::unavailable);
  EXPECT_THAT(second.error().message, HasSubstr("another node is running"));
  expect_hello(bench);
}

TEST(HttpListen, LeavesFilesOfOthersAlone) {
  const auto folder = TemporaryFolder::make("http_server_test");
  ASSERT_TRUE(folder.ok());
  const fs::path path = folder.value().path() / "node.sock";
  asio::io_context loop;
  std::ofstream(path) << "precious";
  const auto refused = listen(loop, UnixAddress{path});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::invalid);
  EXPECT_TRUE(fs::is_regular_file(path));
  fs::remove(path);

  auto server = listen(loop, UnixAddress{path});
  ASSERT_TRUE(server.ok());
  fs::remove(path);
  std::ofstream(path) << "of another";
  server->reset();
  EXPECT_TRUE(fs::is_regular_file(path));
}

}  // namespace
}  // namespace caravan::gateway
