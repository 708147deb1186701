#include "model/download.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

#include "model/http_test_server.h"

namespace caravan::model {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// Different at each place, so that a piece in the wrong place is noticed.
std::string some_content() {
  std::string content;
  for (int i = 0; content.size() < 300000; ++i) content += std::to_string(i) + ",";
  return content;
}

std::string sha256_of(const std::string& content) {
  Sha256 hash;
  hash.update(content);
  return hash.hex();
}

class Download : public ::testing::Test {
 protected:
  Download() {
    options_.first_wait = 1ms;
    options_.attempts = 3;
    expected_ = {Bytes{content_.size()}, sha256_of(content_)};
  }

  Result<Downloaded> fetch(const std::string& url) {
    auto part = PartFile::open(target());
    if (!part) return part.error();
    auto result = download(url, expected_, *part, options_, control_);
    sha256_ = part->sha256();
    return result;
  }
  fs::path target() const { return folder_->path() / "models" / "x.gguf"; }
  std::string part() const { return *read_file(target().string() + ".part", Bytes{1U << 24U}); }
  bool part_exists() const { return fs::exists(target().string() + ".part"); }

  const std::string content_ = some_content();
  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
  DownloadOptions options_;
  Expected expected_;
  TransferControl control_;
  std::string sha256_;
};

TEST_F(Download, WholeFile) {
  HttpTestServer server([&](const TestRequest& request) { return serve_well(request, content_, "\"1\""); });
  const auto result = fetch(server.url("/m.gguf"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(part(), content_);
  EXPECT_EQ(sha256_, expected_.sha256);
  EXPECT_EQ(server.requests().at(0).line, "GET /m.gguf HTTP/1.1");
  EXPECT_EQ(server.requests().at(0).header("range"), "");
}

TEST_F(Download, ContinuesAfterACutWithTheETag) {
  int count = 0;
  HttpTestServer server([&](const TestRequest& request) {
    return serve_well(request, content_, "\"1\"", ++count <= 2 ? 100000 : std::string::npos);
  });
  const auto result = fetch(server.url());
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(part(), content_);
  EXPECT_EQ(sha256_, expected_.sha256);
  ASSERT_EQ(server.requests().size(), 3U);
  EXPECT_EQ(server.requests()[1].header("range"), "bytes=100000-");
  EXPECT_EQ(server.requests()[1].header("if-range"), "\"1\"");
  EXPECT_EQ(server.requests()[2].header("range"), "bytes=200000-");
}

TEST_F(Download, CutsWithNewBytesEachTimeDoNotUseUpTheAttempts) {
  HttpTestServer server(
      [&](const TestRequest& request) { return serve_well(request, content_, "\"1\"", 40000); });
  const auto result = fetch(server.url());
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(part(), content_);
  EXPECT_GT(server.requests().size(), 5U);
}

TEST_F(Download, ContinuesWhatAnEarlierRunLeft) {
  std::size_t cut = 1000;
  HttpTestServer server(
      [&](const TestRequest& request) { return serve_well(request, content_, "\"1\"", cut); });
  options_.attempts = 1;
  ASSERT_FALSE(fetch(server.url()).ok());
  EXPECT_EQ(part(), content_.substr(0, 1000));
  cut = std::string::npos;
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(part(), content_);
  EXPECT_EQ(sha256_, expected_.sha256) << "the earlier run's bytes are in the hash";
  EXPECT_EQ(server.requests().at(1).header("range"), "bytes=1000-");
}

TEST_F(Download, BeginsAnewWhenTheServerIgnoresRanges) {
  int count = 0;
  HttpTestServer server([&](TestRequest request) {
    request.headers.erase("range");
    return serve_well(request, content_, "\"1\"", ++count == 1 ? 100000 : std::string::npos);
  });
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(part(), content_);
  EXPECT_EQ(sha256_, expected_.sha256);
}

TEST_F(Download, BeginsAnewWhenTheFileHasChangedMeanwhile) {
  expected_.sha256.reset();
  const std::string old_content(content_.size(), 'o');
  int count = 0;
  HttpTestServer server([&](const TestRequest& request) {
    return ++count == 1 ? serve_well(request, old_content, "\"old\"", 100000)
                        : serve_well(request, content_, "\"new\"");
  });
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(server.requests().at(1).header("if-range"), "\"old\"");
  EXPECT_EQ(part(), content_);
}

TEST_F(Download, WithoutHashAndETagNothingIsContinued) {
  expected_.sha256.reset();
  int count = 0;
  HttpTestServer server([&](const TestRequest& request) {
    return serve_well(request, content_, "", ++count == 1 ? 1000 : std::string::npos);
  });
  options_.attempts = 1;
  ASSERT_FALSE(fetch(server.url()).ok());
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(server.requests().at(1).header("range"), "");
  EXPECT_EQ(part(), content_);
}

TEST_F(Download, APartOfAnotherAddressIsNotContinued) {
  std::size_t cut = 1000;
  HttpTestServer server(
      [&](const TestRequest& request) { return serve_well(request, content_, "\"1\"", cut); });
  options_.attempts = 1;
  ASSERT_FALSE(fetch(server.url("/one")).ok());
  cut = std::string::npos;
  ASSERT_TRUE(fetch(server.url("/two")).ok());
  EXPECT_EQ(server.requests().at(1).header("range"), "");
}

TEST_F(Download, APartThatIsAlreadyWholeNeedsNoServer) {
  HttpTestServer server([&](const TestRequest& request) { return serve_well(request, content_, "\"1\""); });
  ASSERT_TRUE(fetch(server.url()).ok());
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(sha256_, expected_.sha256);
}

TEST_F(Download, RangeBehindTheEndMeansWholeWhenTheServerSaysSo) {
  expected_.sha256.reset();
  HttpTestServer server([&](const TestRequest& request) { return serve_well(request, content_, "\"1\""); });
  ASSERT_TRUE(fetch(server.url()).ok());
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(server.requests().size(), 2U) << "without a hash only the server knows that it is whole";
  EXPECT_EQ(part(), content_);
}

TEST_F(Download, AWrongPartIsThrownAwayAndAskedForAnew) {
  int count = 0;
  HttpTestServer server([&](const TestRequest& request) -> TestReply {
    if (++count == 1) return serve_well(request, content_, "\"1\"", 1000);
    if (count == 2) return {"HTTP/1.1 206 x\r\nContent-Range: bytes 7-9/100\r\nContent-Length: 3\r\n\r\nabc"};
    return serve_well(request, content_, "\"1\"");
  });
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(server.requests().at(2).header("range"), "");
  EXPECT_EQ(part(), content_);
}

TEST_F(Download, AServerThatNeverSendsTheRightPartIsGivenUp) {
  HttpTestServer server([&](const TestRequest&) -> TestReply {
    return {"HTTP/1.1 206 x\r\nContent-Range: bytes 7-9/100\r\nContent-Length: 3\r\n\r\nabc"};
  });
  const auto result = fetch(server.url());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(server.requests().size(), 3U);
}

TEST_F(Download, ABodyThatIsTooLongIsBrokenOff) {
  HttpTestServer server(
      [&](const TestRequest&) -> TestReply { return {"HTTP/1.1 200 OK\r\n\r\n" + content_ + "more"}; });
  const auto result = fetch(server.url());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::incompatible);
  EXPECT_THAT(result.error().message, HasSubstr("sends more"));
  EXPECT_FALSE(part_exists());
}

TEST_F(Download, AnotherSizeThanTheCatalogueSaysIsRefusedWithoutDownloading) {
  HttpTestServer server(
      [&](const TestRequest& request) { return serve_well(request, content_ + "more", "\"1\""); });
  const auto result = fetch(server.url());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::incompatible);
  EXPECT_FALSE(part_exists());
}

TEST_F(Download, FollowsRedirectsAndReturnsTheHashStatedOnTheWay) {
  expected_.sha256.reset();
  const std::string stated = sha256_of(content_);
  HttpTestServer server([&](const TestRequest& request) -> TestReply {
    if (request.line == "GET /hub HTTP/1.1") {
      return {
          fmt::format("HTTP/1.1 302 Found\r\nLocation: /cdn\r\nX-Linked-ETag: \"{}\"\r\nX-Linked-Size: {}\r\n"
                      "Content-Length: 5\r\n\r\nFound",
                      stated, content_.size())};
    }
    return serve_well(request, content_, "\"1\"");
  });
  const auto result = fetch(server.url("/hub"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->stated_sha256, stated);
  EXPECT_EQ(part(), content_);
}

TEST_F(Download, RetriesWhatPasses) {
  int count = 0;
  HttpTestServer server([&](const TestRequest& request) -> TestReply {
    if (++count == 1) return {"HTTP/1.1 503 x\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy"};
    if (count == 2) return {""};  // closed without a word
    return serve_well(request, content_, "\"1\"");
  });
  std::vector<std::string> waits;
  control_.on_progress = [&](const Progress& progress) {
    if (progress.phase == Progress::Phase::waiting) waits.push_back(progress.note);
  };
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(part(), content_) << "the body of an error is no part of the file";
  ASSERT_FALSE(waits.empty());
  EXPECT_THAT(waits.front(), HasSubstr("HTTP 503"));
}

TEST_F(Download, GivesUpWithTheReason) {
  HttpTestServer server(
      [&](const TestRequest&) -> TestReply { return {"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"}; });
  const auto result = fetch(server.url());
  EXPECT_EQ(result.error().code, Code::unavailable);
  EXPECT_EQ(server.requests().size(), 3U);
  EXPECT_FALSE(part_exists()) << "an empty part is not left behind";
}

TEST_F(Download, MissingFilesAreNotRetried) {
  HttpTestServer server(
      [&](const TestRequest&) -> TestReply { return {"HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\nnone"}; });
  EXPECT_EQ(fetch(server.url()).error().code, Code::not_found);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(Download, NobodyListening) {
  std::string url;
  {
    HttpTestServer server([](const TestRequest&) -> TestReply { return {}; });
    url = server.url();
  }
  const auto result = fetch(url);
  EXPECT_EQ(result.error().code, Code::unavailable);
  EXPECT_THAT(result.error().message, HasSubstr("cannot reach 127.0.0.1"));
  EXPECT_FALSE(result.error().hint.empty());
}

TEST_F(Download, AServerThatStopsInTheMiddleCountsAsACut) {
  options_.stall_time = 100ms;
  int count = 0;
  HttpTestServer server([&](const TestRequest& request) {
    TestReply reply = serve_well(request, content_, "\"1\"", ++count == 1 ? 5000 : std::string::npos);
    reply.hold_open = count == 1;
    return reply;
  });
  ASSERT_TRUE(fetch(server.url()).ok());
  EXPECT_EQ(server.requests().at(1).header("range"), "bytes=5000-");
  EXPECT_EQ(part(), content_);
}

TEST_F(Download, CancelKeepsWhatIsThere) {
  HttpTestServer server([&](const TestRequest& request) {
    TestReply reply = serve_well(request, content_, "\"1\"", 5000);
    reply.hold_open = true;
    return reply;
  });
  Bytes seen;
  control_.on_progress = [&](const Progress& progress) { seen = progress.done; };
  control_.cancelled = [&] { return seen > Bytes{}; };
  const auto result = fetch(server.url());
  EXPECT_EQ(result.error().code, Code::interrupted);
  EXPECT_EQ(part(), content_.substr(0, 5000));
}

TEST_F(Download, NoSpaceIsSaidBeforeAnythingIsAskedFor) {
  HttpTestServer server([&](const TestRequest& request) { return serve_well(request, content_, "\"1\""); });
  expected_.size = Bytes{1ULL << 60U};
  const auto result = fetch(server.url());
  EXPECT_EQ(result.error().code, Code::exhausted);
  EXPECT_THAT(result.error().message, HasSubstr("not enough space"));
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(Download, NoSpaceForWhatTheServerAnnounces) {
  expected_ = {};
  HttpTestServer server([&](const TestRequest&) -> TestReply {
    return {"HTTP/1.1 200 OK\r\nContent-Length: 1152921504606846976\r\n\r\nx"};
  });
  EXPECT_EQ(fetch(server.url()).error().code, Code::exhausted);
}

TEST_F(Download, TwoAtOnceDoNotCollide) {
  const auto first = PartFile::open(target());
  ASSERT_TRUE(first.ok());
  HttpTestServer server([&](const TestRequest& request) { return serve_well(request, content_, "\"1\""); });
  const auto second = fetch(server.url());
  EXPECT_EQ(second.error().code, Code::unavailable);
  EXPECT_THAT(second.error().message, HasSubstr("another process"));
}

TEST_F(Download, GoesThroughTheProxyOfTheEnvironment) {
  HttpTestServer proxy([&](const TestRequest& request) { return serve_well(request, content_, "\"1\""); });
  ::setenv("http_proxy", proxy.url("").c_str(), 1);
  const auto result = fetch("http://models.invalid/x.gguf");
  ::unsetenv("http_proxy");
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(proxy.requests().at(0).line, "GET http://models.invalid/x.gguf HTTP/1.1");
}

TEST_F(Download, OnlyTheWeb) {
  std::ofstream(folder_->path() / "secret") << "secret";
  const auto result = fetch("file://" + (folder_->path() / "secret").string());
  ASSERT_FALSE(result.ok());
  EXPECT_FALSE(part_exists());
}

}  // namespace
}  // namespace caravan::model
