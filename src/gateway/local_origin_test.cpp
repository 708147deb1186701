#include "gateway/local_origin.h"

#include <gtest/gtest.h>

namespace caravan::gateway {
namespace {

bool passes(engine::HttpHeaders headers) {
  Request request;
  request.headers = std::move(headers);
  const auto refused = check_local_origin(request);
  EXPECT_EQ(refused ? refused->status : 403U, 403U);
  return !refused;
}

TEST(LocalOrigin, ServesProgramsOnThisDevice) {
  for (const char* host :
       {"localhost", "LocalHost:8080", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "192.168.1.5:80"}) {
    EXPECT_TRUE(passes({{"Host", host}})) << host;
  }
  EXPECT_TRUE(passes({})) << "HTTP/1.0 needs no Host";
}

TEST(LocalOrigin, RefusesNamesThatPointHere) {
  for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example",
                           "127.0.0.1.evil.example", "", "[", "evil@localhost", "localhost@evil"}) {
    EXPECT_FALSE(passes({{"Host", host}})) << host;
  }
}

TEST(LocalOrigin, RefusesPagesOfOtherSites) {
  const auto from = [](const char* origin) {
    return passes({{"host", "localhost:8080"}, {"origin", origin}});
  };
  EXPECT_TRUE(from("http://localhost:3000"));
  EXPECT_TRUE(from("http://127.0.0.1:8080"));
  EXPECT_TRUE(from("https://[::1]"));
  EXPECT_TRUE(from("vscode-webview://abc"));
  EXPECT_FALSE(from("https://evil.example"));
  EXPECT_FALSE(from("http://203.0.113.5"));
  EXPECT_FALSE(from("http://localhost.evil.example"));
  EXPECT_FALSE(from("null"));
}

}  // namespace
}  // namespace caravan::gateway
