#include "app/model_shelf.h"

#include <fstream>

#include <gtest/gtest.h>

namespace caravan::app {
namespace {

struct ModelShelfTest : testing::Test {
  TemporaryFolder folder = TemporaryFolder::make("shelf").value();
  model::ModelRoots roots{folder.path() / "models", {}, {}};
  ModelShelf shelf{roots, folder.path() / "models.txt"};

  fs::path write(const fs::path& path, const std::string& content) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
    return path;
  }
};

TEST_F(ModelShelfTest, FindsWhatIsInTheFolders) {
  const fs::path path = write(roots.own / "a.gguf", "12345");
  EXPECT_FALSE(shelf.path_of("a.gguf")) << "nobody has looked yet";
  shelf.refresh();
  EXPECT_EQ(shelf.models(), (std::vector<cluster::HeldModel>{{"a.gguf", Bytes{5}}}));
  EXPECT_EQ(shelf.path_of("a.gguf").value(), path);
  EXPECT_EQ(shelf.path_of("b.gguf").error().code, Code::not_found);
}

TEST_F(ModelShelfTest, RemembersAModelFromElsewhereOverARestart) {
  const fs::path path = write(folder.path() / "elsewhere" / "own.gguf", "123");
  const auto held = shelf.add(path);
  ASSERT_TRUE(held);
  EXPECT_EQ(*held, (cluster::HeldModel{"own.gguf", Bytes{3}}));
  ModelShelf later(roots, folder.path() / "models.txt");
  later.refresh();
  EXPECT_EQ(later.path_of("own.gguf").value(), fs::canonical(path));
}

TEST_F(ModelShelfTest, ARememberedModelThatIsGoneIsNotHeld) {
  const fs::path path = write(folder.path() / "elsewhere" / "own.gguf", "123");
  ASSERT_TRUE(shelf.add(path));
  fs::remove(path);
  shelf.refresh();
  EXPECT_TRUE(shelf.models().empty());
}

TEST_F(ModelShelfTest, NoFileIsAnError) {
  EXPECT_EQ(shelf.add(folder.path() / "none.gguf").error().code, Code::not_found);
}

}  // namespace
}  // namespace caravan::app
