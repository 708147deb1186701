#include "cli/models.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/models_table.h"
#include "model/gguf_builder.h"
#include "model/http_test_server.h"
#include "model/sha256.h"

namespace caravan::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Ended {
  int code = -1;
  std::string out;
  std::string errors;
};

class Models : public ::testing::Test {
 protected:
  Models() {
    ::setenv("CARAVAN_HOME", (folder_->path() / "caravan").c_str(), 1);
    ::setenv("HOME", folder_->path().c_str(), 1);
    ::setenv("CARAVAN_CATALOGUE", (folder_->path() / "catalogue.json").c_str(), 1);
    ::unsetenv("HF_HOME");
    ::unsetenv("HF_HUB_CACHE");
    model::Sha256 hash;
    hash.update(content_);
    const Json source{{"kind", "url"}, {"url", server_.url()}};
    const Json small{{"name", "small"},         {"file", "Small.gguf"}, {"size", content_.size()},
                     {"sha256", hash.hex()},    {"parameters", "1B"},   {"quantization", "Q4_0"},
                     {"licence", "Apache-2.0"}, {"note", "a note"},     {"sources", Json::array({source})}};
    const Json unknown{
        {"name", "unknown"},
        {"file", "Unknown.gguf"},
        {"size", 10},
        {"sources", Json::array({Json{{"kind", "url"}, {"url", "https://models.invalid/x"}}})}};
    std::ofstream(folder_->path() / "catalogue.json")
        << dump_json({{"version", 1}, {"models", Json::array({small, unknown})}});
  }
  ~Models() override {
    for (const auto& [name, value] : before_) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
  }

  /// As `caravan models WORDS...`
  static Ended run(std::vector<std::string> words) {
    CLI::App root("caravan");
    std::function<int()> chosen;
    add_models(root, [&](std::function<int()> command) { chosen = std::move(command); });
    words.insert(words.begin(), "models");
    std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
    root.parse(words);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    Ended result;
    result.code = chosen();
    result.out = ::testing::internal::GetCapturedStdout();
    result.errors = ::testing::internal::GetCapturedStderr();
    return result;
  }
  fs::path own_file() const { return folder_->path() / "caravan" / "models" / "Small.gguf"; }
  static std::optional<std::string> saved(const char* name) { return environment(name); }

  const std::map<std::string, std::optional<std::string>> before_{
      {"CARAVAN_HOME", saved("CARAVAN_HOME")},
      {"HOME", saved("HOME")},
      {"CARAVAN_CATALOGUE", saved("CARAVAN_CATALOGUE")},
      {"HF_HOME", saved("HF_HOME")},
      {"HF_HUB_CACHE", saved("HF_HUB_CACHE")}};
  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
  const std::string content_ = model::small_llama().bytes();
  std::atomic<std::size_t> cut_after_{std::string::npos};
  std::atomic<bool> hold_open_{false};
  model::HttpTestServer server_{[this](const model::TestRequest& request) {
    model::TestReply reply = model::serve_well(request, content_, "\"1\"", cut_after_);
    reply.hold_open = hold_open_;
    return reply;
  }};
};

TEST_F(Models, PullPathListVerifyRemove) {
  EXPECT_THAT(run({"list"}).out, HasSubstr("small      1B          Q4_0"));
  Ended result = run({"path", "small"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.errors, HasSubstr("hint: get it"));

  result = run({"pull", "small"});
  EXPECT_EQ(result.code, 0) << result.errors;
  EXPECT_THAT(result.out, HasSubstr("small is ready: ~/caravan/models/Small.gguf"));
  EXPECT_THAT(result.out, HasSubstr("SHA-256 as in the catalogue"));
  EXPECT_THAT(result.out, HasSubstr("note: a note"));
  EXPECT_THAT(run({"pull", "small"}).out, HasSubstr("was there already"));

  EXPECT_EQ(run({"path", "small"}).out, own_file().string() + "\n");
  EXPECT_THAT(run({"list"}).out, HasSubstr("~/caravan/models/Small.gguf"));
  EXPECT_THAT(run({"verify", "small"}).out, HasSubstr("SHA-256 as in the catalogue"));

  result = run({"rm", "small", "--yes"});
  EXPECT_EQ(result.code, 0) << result.errors;
  EXPECT_FALSE(fs::exists(own_file()));
}

TEST_F(Models, ADamagedModelIsNotVerified) {
  ASSERT_EQ(run({"pull", "small"}).code, 0);
  std::fstream(own_file(), std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end) << '!';
  const Ended result = run({"verify", "small"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.errors,
              StartsWith("error: ~/caravan/models/Small.gguf does not have the right SHA-256"));
}

TEST_F(Models, InterruptingKeepsAPartThatTheNextPullGoesOnWith) {
  hold_open_ = true;
  cut_after_ = 1024;
  std::thread person([part = own_file().string() + ".part"] {
    std::error_code failure;
    const TimePoint deadline = Clock::now() + std::chrono::seconds(20);
    while (fs::file_size(part, failure) != 1024 && Clock::now() < deadline) std::this_thread::yield();
    std::raise(SIGINT);
  });
  Ended result = run({"pull", "small"});
  person.join();
  EXPECT_EQ(result.code, 130);
  EXPECT_THAT(result.errors, HasSubstr("caravan models pull small")) << result.out;
  EXPECT_THAT(run({"list"}).out, HasSubstr("- (1.00 KiB downloaded)"));
  hold_open_ = false;
  cut_after_ = std::string::npos;
  EXPECT_EQ(run({"pull", "small"}).code, 0);
  EXPECT_EQ(server_.requests().back().header("range"), "bytes=1024-");
}

TEST_F(Models, RemovingAPart) {
  fs::create_directories(own_file().parent_path());
  std::ofstream(own_file().string() + ".part") << "part";
  const Ended result = run({"rm", "small"});
  EXPECT_EQ(result.code, 0) << result.errors;
  EXPECT_FALSE(fs::exists(own_file().string() + ".part"));
}

TEST_F(Models, ModelsOfOtherProgramsAreListedAndNotDeleted) {
  const fs::path other = folder_->path() / "models" / "Other.gguf";
  fs::create_directories(other.parent_path());
  std::ofstream(other) << "GGUF";
  EXPECT_THAT(run({"list"}).out, HasSubstr("Also on this device:\n       4 B  ~/models/Other.gguf"));
  const Ended result = run({"rm", "other", "--yes"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.errors, HasSubstr("~/models/Other.gguf was not downloaded by Caravan"));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(Models, JsonForPrograms) {
  const auto list = parse_json(run({"list", "--json"}).out, 1U << 20U);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ((*list)["models"][0]["name"], "small");
  EXPECT_TRUE((*list)["models"][0]["path"].is_null());
  EXPECT_TRUE((*list)["models"][1]["sha256"].is_null());

  const Ended pulled = run({"pull", "small", "--json"});
  EXPECT_EQ(pulled.code, 0);
  Json last;
  for (const std::string& line : split(std::string(trim(pulled.out)), '\n')) {
    const auto event = parse_json(line, 1U << 20U);
    ASSERT_TRUE(event.ok()) << line;
    last = *event;
  }
  EXPECT_EQ(last["event"], "done");
  EXPECT_EQ(last["path"], own_file().string());

  const Ended failed = run({"pull", "smal", "--json"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT((*parse_json(failed.out, 1U << 20U))["error"]["hint"].get<std::string>(),
              HasSubstr("did you mean small?"));
  EXPECT_EQ(failed.errors, "");
}

TEST_F(Models, AModelWhoseHashTheCatalogueDoesNotHaveIsMarked) {
  EXPECT_THAT(run({"list"}).out, HasSubstr("unknown *"));
  EXPECT_THAT(run({"list"}).out, HasSubstr("* The catalogue has no SHA-256 of it"));
}

TEST_F(Models, HelpHasExamples) {
  CLI::App root("caravan");
  add_models(root, [](const std::function<int()>&) {});
  EXPECT_THAT(root.get_subcommand("models")->help(), HasSubstr("caravan models pull smollm2-135m"));
}

}  // namespace
}  // namespace caravan::cli
