#include "model/catalogue.h"

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/files.h"

namespace caravan::model {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kHash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
constexpr std::string_view kUrl = R"([{"kind": "url", "url": "https://example.org/x.gguf"}])";

std::string catalogue_of(std::string_view file, std::string_view sha256, std::string_view sources) {
  return fmt::format(
      R"({{"version": 1, "models": [{{"name": "tiny-1b", "aliases": ["Tiny"], "quantization": "Q4_0",
      "file": {}, "size": 10, "sha256": {}, "sources": {}}}]}})",
      file, sha256, sources);
}

std::string error_of(const std::string& json) {
  const auto catalogue = Catalogue::parse(json);
  return catalogue ? "no error" : catalogue.error().message;
}

TEST(Catalogue, TheOneBuiltInIsWellFormedAndHasTheModelsThatPackagesCarry) {
  const auto catalogue = load_catalogue();
  ASSERT_TRUE(catalogue.ok()) << catalogue.error().message;
  const CatalogueEntry* small = catalogue->find("smollm2-135m");
  ASSERT_NE(small, nullptr);
  EXPECT_TRUE(std::holds_alternative<PackageSource>(small->sources.front()));
  EXPECT_TRUE(small->sha256.has_value());
  const CatalogueEntry* gemma = catalogue->find("gemma3-270m");
  ASSERT_NE(gemma, nullptr);
  EXPECT_EQ(std::get<PackageSource>(gemma->sources.front()).members.size(), 4U);
  EXPECT_THAT(gemma->note, HasSubstr("base model"));
}

TEST(Catalogue, ModelsOfTheGuideAreFoundByTheGuidesNames) {
  const auto catalogue = load_catalogue();
  ASSERT_TRUE(catalogue.ok());
  for (const char* name :
       {"Llama-3.2-3B-Q4_K_M", "Qwen2.5-3B-Q4_K_M", "Llama-3.1-8B-Q4_K_M", "Mistral-7B-Q4_K_M",
        "Llama-2-13B-Q4_K_M", "Qwen-14B-Q4_K_M", "Mixtral-8x7B-Q3_K_M", "Qwen-32B-Q3_K_M"}) {
    EXPECT_NE(catalogue->find(name), nullptr) << name;
  }
}

TEST(Catalogue, FindsByNameAliasFileAndStemInAnyCase) {
  const auto catalogue =
      Catalogue::parse(catalogue_of(R"("Tiny.Q4_0.gguf")", fmt::format("\"{}\"", kHash), kUrl));
  ASSERT_TRUE(catalogue.ok()) << catalogue.error().message;
  for (const char* name : {"tiny-1b", "TINY", "tiny-1B-q4_0", "Tiny.Q4_0.gguf", "tiny.q4_0"}) {
    EXPECT_NE(catalogue->find(name), nullptr) << name;
  }
  EXPECT_EQ(catalogue->find("tin"), nullptr);
  EXPECT_EQ(catalogue->find(""), nullptr);
  EXPECT_NE(catalogue->find_file("Tiny.Q4_0.gguf"), nullptr);
  EXPECT_EQ(catalogue->entries().front().sha256, std::string(kHash));
}

TEST(Catalogue, AHashMayBeUnknownButThenOnlyHttpsWillDo) {
  EXPECT_TRUE(Catalogue::parse(catalogue_of(R"("x.gguf")", "null", kUrl)).ok());
  constexpr std::string_view kPlain = R"([{"kind": "url", "url": "http://example.org/x.gguf"}])";
  EXPECT_THAT(error_of(catalogue_of(R"("x.gguf")", "null", kPlain)), HasSubstr("https://"));
  EXPECT_TRUE(Catalogue::parse(catalogue_of(R"("x.gguf")", fmt::format("\"{}\"", kHash), kPlain)).ok());
  constexpr std::string_view kFile = R"([{"kind": "url", "url": "file:///etc/passwd"}])";
  EXPECT_THAT(error_of(catalogue_of(R"("x.gguf")", "null", kFile)), HasSubstr("https://"));
}

TEST(Catalogue, WhatCouldEscapeTheFolderOrTheCommandLineIsRefused) {
  for (const char* file :
       {R"("../x.gguf")", R"("/x.gguf")", R"(".gguf")", R"("-x.gguf")", R"("x.bin")", R"("a/b.gguf")"}) {
    EXPECT_THAT(error_of(catalogue_of(file, "null", kUrl)), HasSubstr("'file'")) << file;
  }
  for (const char* name : {"--index-url=x", "a b", "a/b", ""}) {
    const std::string source = fmt::format(
        R"([{{"kind": "pypi", "packages": [{{"name": "{}", "version": "1"}}], "members": ["m"]}}])", name);
    EXPECT_THAT(error_of(catalogue_of(R"("x.gguf")", "null", source)), HasSubstr("not the name of a package"))
        << name;
  }
}

TEST(Catalogue, ErrorsNameEntryAndField) {
  EXPECT_THAT(error_of("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(error_of(R"({"version": 1, "models": [{}]})"), HasSubstr("models[0]: 'name' is missing"));
  EXPECT_THAT(error_of(catalogue_of(R"("x.gguf")", R"("abc")", kUrl)),
              HasSubstr("'sha256' must be 64 hex digits"));
  EXPECT_THAT(error_of(catalogue_of(R"("x.gguf")", "null", "[]")), HasSubstr("'sources'"));
  EXPECT_THAT(
      error_of(catalogue_of(R"("x.gguf")", "null", R"([{"kind": "pypi", "packages": [], "members": []}])")),
      HasSubstr("'packages' must not be empty"));
  EXPECT_EQ(Catalogue::parse(R"({"version": 2, "models": []})").error().code, Code::incompatible);
}

TEST(Catalogue, TwoModelsOfOneNameAreRefused) {
  std::string json = catalogue_of(R"("x.gguf")", "null", kUrl);
  const std::string entry = json.substr(json.find('[') + 1, json.rfind(']') - json.find('[') - 1);
  json.insert(json.find('[') + 1, entry + ",");
  EXPECT_THAT(error_of(json), HasSubstr("two models called"));
}

TEST(Catalogue, SourcesOfALaterKindAreLeftOut) {
  const auto catalogue = Catalogue::parse(
      catalogue_of(R"("x.gguf")", "null",
                   R"([{"kind": "torrent"}, {"kind": "url", "url": "https://example.org/x.gguf"}])"));
  ASSERT_TRUE(catalogue.ok()) << catalogue.error().message;
  EXPECT_EQ(catalogue->entries().front().sources.size(), 1U);
}

TEST(Catalogue, CanBeReplacedByAFile) {
  auto folder = TemporaryFolder::make("caravan-test");
  ASSERT_TRUE(folder.ok());
  const fs::path file = folder->path() / "mine.json";
  std::ofstream(file) << catalogue_of(R"("x.gguf")", "null", kUrl);
  ::setenv("CARAVAN_CATALOGUE", file.c_str(), 1);
  const auto mine = load_catalogue();
  ::setenv("CARAVAN_CATALOGUE", (folder->path() / "none.json").c_str(), 1);
  const auto missing = load_catalogue();
  ::unsetenv("CARAVAN_CATALOGUE");
  ASSERT_TRUE(mine.ok()) << mine.error().message;
  EXPECT_EQ(mine->entries().size(), 1U);
  EXPECT_EQ(missing.error().code, Code::not_found);
}

}  // namespace
}  // namespace caravan::model
