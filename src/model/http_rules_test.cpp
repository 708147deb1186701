#include "model/http_rules.h"

#include <gmock/gmock.h>

namespace caravan::model {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Kind = BodyPlan::Kind;

const std::string kHash(64, 'a');

ResponseHead head_of(std::initializer_list<const char*> lines) {
  ResponseHead head;
  for (const char* line : lines) head.add_line(line);
  return head;
}

TEST(HttpRules, ContentRange) {
  EXPECT_EQ(parse_content_range("bytes 100-199/200")->first, 100U);
  EXPECT_EQ(parse_content_range("bytes 100-199/200")->total, 200U);
  EXPECT_EQ(parse_content_range("Bytes 0-9/*")->total, std::nullopt);
  EXPECT_EQ(parse_content_range("bytes */200")->first, std::nullopt);
  EXPECT_EQ(parse_content_range("bytes */200")->total, 200U);
  for (const char* wrong : {"", "bytes", "bytes 1-2", "bytes 5-4/9", "bytes 0-9/9", "bytes -1-2/9",
                            "items 0-1/2", "bytes 1/2", "bytes 0-99999999999999999999/*", "bytes 0-1/2x"}) {
    EXPECT_FALSE(parse_content_range(wrong).has_value()) << wrong;
  }
}

TEST(HttpRules, HeadKeepsWhatTheHubSaysWhileItRedirects) {
  const std::string linked = "X-Linked-ETag: \"" + kHash + "\"";
  const ResponseHead head = head_of({"HTTP/1.1 302 Found", "Location: https://cdn.example.org/1",
                                     linked.c_str(), "X-Linked-Size: 1000", "Content-Length: 17", "",
                                     "HTTP/2 200", "content-length: 1000", "etag: \"abc\"", ""});
  EXPECT_EQ(head.status, 200);
  EXPECT_FALSE(head.redirects);
  EXPECT_EQ(head.content_length, 1000U);
  EXPECT_EQ(head.etag, "\"abc\"");
  EXPECT_EQ(head.stated_sha256, kHash);
  EXPECT_EQ(head.stated_size, 1000U);
}

TEST(HttpRules, HeadIgnoresNonsense) {
  const ResponseHead head =
      head_of({"HTTP/1.1 abc", "Content-Length: -1", "no colon", "Content-Range: x",
               "X-Linked-ETag: \"short\"", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"});
  EXPECT_EQ(head.status, 0);
  EXPECT_EQ(head.content_length, std::nullopt);
  EXPECT_FALSE(head.content_range.has_value());
  EXPECT_EQ(head.stated_sha256, std::nullopt);
  EXPECT_EQ(head.retry_after, std::nullopt);
}

TEST(HttpRules, ThePartAskedForIsAppended) {
  const auto plan =
      plan_body(head_of({"HTTP/1.1 206 x", "Content-Range: bytes 50-99/100"}), Bytes{50}, {}, "h");
  EXPECT_EQ(plan.kind, Kind::append);
  EXPECT_EQ(plan.total, Bytes{100});
}

TEST(HttpRules, AnotherPartThanAskedForIsThrownAway) {
  EXPECT_EQ(plan_body(head_of({"HTTP/1.1 206 x", "Content-Range: bytes 49-99/100"}), Bytes{50}, {}, "h").kind,
            Kind::ask_anew);
  EXPECT_EQ(plan_body(head_of({"HTTP/1.1 206 x"}), Bytes{50}, {}, "h").kind, Kind::ask_anew);
}

TEST(HttpRules, AServerThatIgnoresTheRangeSendsTheWholeFile) {
  const auto plan = plan_body(head_of({"HTTP/1.1 200 OK", "Content-Length: 100"}), Bytes{50}, {}, "h");
  EXPECT_EQ(plan.kind, Kind::from_zero);
  EXPECT_EQ(plan.total, Bytes{100});
}

TEST(HttpRules, NothingMoreToGet) {
  EXPECT_EQ(plan_body(head_of({"HTTP/1.1 416 x", "Content-Range: bytes */50"}), Bytes{50}, {}, "h").kind,
            Kind::complete);
  EXPECT_EQ(plan_body(head_of({"HTTP/1.1 416 x", "Content-Range: bytes */40"}), Bytes{50}, {}, "h").kind,
            Kind::ask_anew);
  EXPECT_EQ(plan_body(head_of({"HTTP/1.1 416 x"}), Bytes{50}, {}, "h").kind, Kind::ask_anew);
}

TEST(HttpRules, WhatPassesIsRetriedWhatDoesNotIsNot) {
  for (const char* line : {"HTTP/1.1 408 x", "HTTP/1.1 429 x", "HTTP/1.1 500 x", "HTTP/1.1 503 x"}) {
    EXPECT_EQ(plan_body(head_of({line}), Bytes{}, {}, "h").kind, Kind::retry) << line;
  }
  const auto gone = plan_body(head_of({"HTTP/1.1 404 x"}), Bytes{}, {}, "example.org");
  EXPECT_EQ(gone.kind, Kind::fail);
  EXPECT_EQ(gone.error.code, Code::not_found);
  EXPECT_THAT(gone.error.message, HasSubstr("example.org"));
  EXPECT_THAT(plan_body(head_of({"HTTP/1.1 403 x"}), Bytes{}, {}, "h").error.hint, HasSubstr("account"));
}

TEST(HttpRules, AnotherFileThanTheCatalogueMeansIsRefusedBeforeItIsDownloaded) {
  const std::string linked = "X-Linked-ETag: \"" + kHash + "\"";
  const ResponseHead offered = head_of({"HTTP/1.1 200 OK", "Content-Length: 100", linked.c_str()});
  EXPECT_EQ(plan_body(offered, Bytes{}, {Bytes{100}, kHash}, "h").kind, Kind::from_zero);
  EXPECT_EQ(plan_body(offered, Bytes{}, {Bytes{100}, std::string(64, 'b')}, "h").error.code,
            Code::incompatible);
  EXPECT_EQ(plan_body(offered, Bytes{}, {Bytes{99}, kHash}, "h").error.code, Code::incompatible);
  EXPECT_EQ(plan_body(offered, Bytes{}, {Bytes{99}, std::nullopt}, "h").kind, Kind::from_zero)
      << "without a hash the catalogue's size is only what was last seen";
}

TEST(HttpRules, OnlyStrongEtagsIdentifyBytes) {
  EXPECT_TRUE(is_strong_etag("\"abc\""));
  EXPECT_FALSE(is_strong_etag("W/\"abc\""));
  EXPECT_FALSE(is_strong_etag("\"\""));
  EXPECT_FALSE(is_strong_etag(""));
}

TEST(HttpRules, HostsAreShownWithoutSecrets) {
  EXPECT_EQ(host_of("https://user:secret@example.org:8080/x?token=y"), "example.org");
  EXPECT_EQ(host_of("http://[::1]:80/x"), "[::1]");
  EXPECT_EQ(host_of("example.org"), "example.org");
  EXPECT_EQ(host_of("https://"), "");
}

TEST(HttpRules, WaitsDoubleUpToAMinute) {
  EXPECT_EQ(back_off(1, 1000ms, {}), 1s);
  EXPECT_EQ(back_off(3, 1000ms, {}), 4s);
  EXPECT_EQ(back_off(100, 1000ms, {}), 60s);
  EXPECT_EQ(back_off(1, 1000ms, 7s), 7s);
  EXPECT_EQ(back_off(1, 1000ms, 3600s), 60s);
}

}  // namespace
}  // namespace caravan::model
