#include "engine/ggml_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caravan::engine {
namespace {

using ::testing::ElementsAre;

class GgmlFilesTest : public ::testing::Test {
 protected:
  void add(const fs::path& path) {
    fs::create_directories((folder_.path() / path).parent_path());
    ASSERT_TRUE(write_file_atomically(folder_.path() / path, "").ok());
  }
  fs::path in(const fs::path& path) const { return folder_.path() / path; }

 private:
  TemporaryFolder folder_ = TemporaryFolder::make("caravan-ggml-test").value();
};

TEST_F(GgmlFilesTest, BesideThePrograms) {
  for (const char* name : {"bin/libggml-base.so", "bin/libggml-base.so.0.25.1", "bin/libggml-cpu.so.0",
                           "bin/libggml-cpu.so", "bin/libggml-rpc.so", "bin/libggml.so", "bin/llama-server"})
    add(name);
  const auto files = find_ggml(in("bin"));
  ASSERT_TRUE(files.ok()) << files.error().message;
  EXPECT_EQ(files->base, in("bin/libggml-base.so"));
  EXPECT_THAT(files->cpu, ElementsAre(in("bin/libggml-cpu.so")));
}

TEST_F(GgmlFilesTest, VariantsInTheLibraryFolderOfAnInstallation) {
  for (const char* name : {"bin/llama-server", "lib/libggml-base.so.0", "lib/libggml-cpu-sse42.so",
                           "lib/libggml-cpu-haswell.so", "lib/libggml-cpux.so", "lib/libggml-cpu-old.sorry"})
    add(name);
  const auto files = find_ggml(in("bin"));
  ASSERT_TRUE(files.ok()) << files.error().message;
  EXPECT_EQ(files->base, in("lib/libggml-base.so.0"));
  EXPECT_THAT(files->cpu, ElementsAre(in("lib/libggml-cpu-haswell.so"), in("lib/libggml-cpu-sse42.so")));
}

TEST_F(GgmlFilesTest, StaticProgramsHaveNone) {
  add("bin/llama-server");
  add("bin/libggml-base.so");  // half is not enough
  const auto files = find_ggml(in("bin"));
  ASSERT_FALSE(files.ok());
  EXPECT_EQ(files.error().code, Code::not_found);
  EXPECT_NE(files.error().hint.find("BUILD_SHARED_LIBS"), std::string::npos);
  EXPECT_FALSE(find_ggml("/nonexistent").ok());
}

}  // namespace
}  // namespace caravan::engine
