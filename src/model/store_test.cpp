#include "model/store.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>

namespace caravan::model {
namespace {

using ::testing::HasSubstr;

constexpr const char* kCatalogue = R"({"version": 1, "models": [
  {"name": "tiny-1b", "aliases": ["tiny"], "quantization": "Q4_0", "file": "Tiny-1B.Q4_0.gguf", "size": 4,
   "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
   "sources": [{"kind": "url", "url": "https://example.org/x"}]}]})";

class Store : public ::testing::Test {
 protected:
  Store() { roots_ = {at("own"), {at("shared")}, {at("hub")}}; }

  fs::path at(const fs::path& relative) const { return folder_->path() / relative; }
  fs::path put(const fs::path& relative, std::string_view content = "GGUF") const {
    fs::create_directories(at(relative).parent_path());
    std::ofstream(at(relative)) << content;
    return at(relative);
  }
  std::string found(std::string_view name) const {
    const auto model = find_model(name, catalogue_, roots_);
    return model ? model->path.string() : "error: " + model.error().message + " hint: " + model.error().hint;
  }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
  Catalogue catalogue_ = *Catalogue::parse(kCatalogue);
  ModelRoots roots_;
};

TEST_F(Store, FindsByCatalogueNameAliasFileStemAndPath) {
  const fs::path path = put("own/Tiny-1B.Q4_0.gguf");
  for (const std::string name : {"tiny-1b", "Tiny", "tiny-1b-q4_0", "Tiny-1B.Q4_0.gguf", "tiny-1b.q4_0"}) {
    EXPECT_EQ(found(name), path) << name;
  }
  EXPECT_EQ(found(path.string()), path);
  EXPECT_TRUE(find_model("tiny", catalogue_, roots_)->own);
  EXPECT_TRUE(find_model(path.string(), catalogue_, roots_)->own);
  EXPECT_EQ(find_model("tiny", catalogue_, roots_)->size, Bytes{4});
}

TEST_F(Store, OwnModelsComeBeforeThoseOfOthers) {
  const fs::path shared = put("shared/Tiny-1B.Q4_0.gguf");
  EXPECT_EQ(found("tiny"), shared);
  EXPECT_FALSE(find_model("tiny", catalogue_, roots_)->own);
  EXPECT_EQ(found("tiny"), shared);
  const fs::path own = put("own/Tiny-1B.Q4_0.gguf");
  EXPECT_EQ(found("tiny"), own);
}

TEST_F(Store, AnotherFileOfTheSameNameElsewhereIsNotTheCataloguesModel) {
  const fs::path other = put("shared/Tiny-1B.Q4_0.gguf", "of another size");
  EXPECT_THAT(found("tiny"),
              HasSubstr("tiny-1b is not on this device hint: get it (4 B): caravan models pull tiny-1b"));
  EXPECT_EQ(found("Tiny-1B.Q4_0"), other) << "its own name still leads to it";
}

TEST_F(Store, LooksIntoFoldersOfOthersAndTheHuggingFaceCache) {
  const fs::path nested = put("shared/someone/Repo-GGUF/Nested.gguf");
  put("shared/a/b/c/too-deep.gguf");
  const fs::path blob = put("hub/models--a--b/blobs/0123", "GGUF");
  fs::create_directories(at("hub/models--a--b/snapshots/rev/sub"));
  fs::create_symlink(blob, at("hub/models--a--b/snapshots/rev/Hub.gguf"));
  fs::create_symlink(blob, at("hub/models--a--b/snapshots/rev/sub/Deep.gguf"));
  fs::create_symlink(at("gone"), at("hub/models--a--b/snapshots/rev/Dangling.gguf"));
  put("hub/datasets--x/snapshots/rev/No.gguf");
  EXPECT_EQ(found("nested"), nested);
  EXPECT_EQ(found("hub"), at("hub/models--a--b/snapshots/rev/Hub.gguf"));
  EXPECT_EQ(found("deep"), at("hub/models--a--b/snapshots/rev/sub/Deep.gguf"));
  EXPECT_EQ(stored_models(roots_).size(), 3U);
}

TEST_F(Store, PartsAndOtherFilesAreNoModels) {
  put("own/Tiny-1B.Q4_0.gguf.part");
  put("own/readme.txt");
  put("own/.Tiny.pip/x.gguf");
  EXPECT_TRUE(stored_models(roots_).empty());
}

TEST_F(Store, SaysWhatWasProbablyMeant) {
  EXPECT_THAT(found("tiny-1c"), HasSubstr("there is no model 'tiny-1c' hint: did you mean tiny-1b?"));
  put("shared/Special.gguf");
  EXPECT_THAT(found("speciel"), HasSubstr("did you mean special?"));
  EXPECT_THAT(found("nothing-like-it-at-all"), HasSubstr("`caravan models list`"));
  EXPECT_THAT(found("./none.gguf"), HasSubstr("No such file"));
  EXPECT_EQ(find_model("./none.gguf", catalogue_, roots_).error().code, Code::not_found);
  EXPECT_THAT(find_entry("tiney", catalogue_).error().hint, HasSubstr("did you mean tiny?"));
  EXPECT_EQ(find_entry("TINY", catalogue_)->name, "tiny-1b");
}

TEST_F(Store, TheUsualPlaces) {
  ::setenv("CARAVAN_HOME", "/c", 1);
  ::setenv("HF_HOME", "/h", 1);
  const ModelRoots roots = default_model_roots();
  ::unsetenv("HF_HOME");
  ::unsetenv("CARAVAN_HOME");
  EXPECT_EQ(roots.own, "/c/models");
  EXPECT_EQ(roots.shared,
            (std::vector<fs::path>{home_folder() / "models", home_folder() / ".exo" / "models"}));
  EXPECT_EQ(roots.hugging_face.at(0), "/h/hub");
}

}  // namespace
}  // namespace caravan::model
