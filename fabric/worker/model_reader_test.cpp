#include "fabric/worker/model_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caravan::fabric::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(FabricModelReader, FoldersHaveTheirModelsShardsOnce) {
  const auto folder = TemporaryFolder::make("models");
  ASSERT_TRUE(folder.ok());
  const fs::path& in = folder->path();
  for (const char* name :
       {"b.gguf", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "notes.txt", "c.gguf.part"})
    ASSERT_TRUE(write_file_atomically(in / name, "x").ok());
  fs::create_directory(in / "folder.gguf");
  EXPECT_THAT(ggufs_of({"/given.gguf", in, in / "missing"}),
              ElementsAre("/given.gguf", in / "a-00001-of-00002.gguf", in / "b.gguf", in / "missing"));
}

TEST(FabricModelReader, WhatIsNoModelIsNamedAndDoesNoHarm) {
  const auto folder = TemporaryFolder::make("models");
  ASSERT_TRUE(folder.ok());
  const fs::path file = folder->path() / "none.gguf";
  ASSERT_TRUE(write_file_atomically(file, "this is no model").ok());
  LocalSource source;
  std::vector<std::string> said;
  {
    const ModelReader reader(source, {file}, folder->path() / "manifests",
                             [&said](const std::string& line) { said.push_back(line); });
    EXPECT_TRUE(reader.wait(std::chrono::seconds(60)));
  }
  EXPECT_THAT(said, ElementsAre(HasSubstr("none.gguf is not used")));
  EXPECT_EQ(source.tensors(), 0U);
}

}  // namespace
}  // namespace caravan::fabric::worker
