#include "engine/locate.h"

#include <gmock/gmock.h>

#include "engine/fingerprint.h"
#include "engine/testing.h"

namespace caravan::engine {
namespace {

using testing::HasSubstr;
using testing_support::write_script;

class Locate : public testing::Test {
 protected:
  fs::path add(const std::string& folder, std::initializer_list<const char*> programs) {
    const fs::path path = root_.path() / folder;
    fs::create_directories(path);
    for (const char* program : programs) write_script(path / program, "exit 0\n");
    return path;
  }
  EnginePlaces places() const {
    EnginePlaces all;
    all.built = root_.path() / "built";
    all.home = root_.path() / "home";
    all.prefix = (root_.path() / "prefix").string();
    all.path = (root_.path() / "one").string() + ":relative::" + (root_.path() / "two").string();
    return all;
  }

  TemporaryFolder root_ = TemporaryFolder::make("caravan-locate-test").value();
};

TEST_F(Locate, PlacesInOrder) {
  std::vector<fs::path> folders{add("two", {"llama-server", "rpc-server"})};
  EXPECT_EQ(locate_engine(places())->origin, "PATH");
  EXPECT_EQ(locate_engine(places())->rpc_server, folders[0] / "rpc-server");
  folders.push_back(add("prefix/bin", {"llama-server", "ggml-rpc-server", "rpc-server"}));
  EXPECT_EQ(locate_engine(places())->origin, "$PREFIX");
  EXPECT_EQ(locate_engine(places())->rpc_server, folders[1] / "ggml-rpc-server") << "the newer name first";
  folders.push_back(add("home/llama.cpp/build/bin", {"llama-server", "ggml-rpc-server"}));
  EXPECT_EQ(locate_engine(places())->folder(), folders[2]);
  folders.push_back(add("built", {"llama-server", "ggml-rpc-server"}));
  EXPECT_EQ(locate_engine(places())->folder(), folders[3]);
  folders.push_back(add("environment", {"llama-server", "ggml-rpc-server"}));
  EnginePlaces named = places();
  named.environment = folders[4].string();
  EXPECT_EQ(locate_engine(named)->folder(), folders[4]);
  folders.push_back(add("option", {"llama-server", "ggml-rpc-server"}));
  named.option = folders[5].string();
  EXPECT_EQ(locate_engine(named)->folder(), folders[5]);
  EXPECT_EQ(locate_engine(named)->origin, "--engine");
}

TEST_F(Locate, ASourceFolderMayBeNamed) {
  const fs::path folder = add("llama.cpp/build/bin", {"llama-server", "ggml-rpc-server"});
  for (const char* name : {"llama.cpp", "llama.cpp/build", "llama.cpp/build/bin"}) {
    EnginePlaces named;
    named.option = (root_.path() / name).string();
    ASSERT_TRUE(locate_engine(named).ok()) << name;
    EXPECT_EQ(locate_engine(named)->folder(), folder);
  }
}

TEST_F(Locate, AWrongFolderThatWasNamedIsAnErrorAndNotSkipped) {
  add("built", {"llama-server", "ggml-rpc-server"});
  EnginePlaces named = places();
  named.option = (root_.path() / "nothing").string();
  EXPECT_EQ(locate_engine(named).error().code, Code::not_found);
  EXPECT_THAT(locate_engine(named).error().message, HasSubstr("--engine"));
  named.option.clear();
  named.environment = add("empty", {}).string();
  EXPECT_EQ(locate_engine(named).error().code, Code::not_found);
  EXPECT_THAT(locate_engine(named).error().message, HasSubstr("CARAVAN_ENGINE"));
}

TEST_F(Locate, WithoutRpcItSaysWhatToDo) {
  add("home/llama.cpp/build/bin", {"llama-server"});
  const auto found = locate_engine(places());
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, Code::incompatible);
  EXPECT_THAT(found.error().message, HasSubstr("was built without RPC"));
  EXPECT_EQ(found.error().hint, "rebuild it with -DGGML_RPC=ON, or run `./run build`");
  add("two", {"llama-server", "rpc-server"});
  EXPECT_EQ(locate_engine(places())->origin, "PATH") << "a whole engine further on is taken";
}

TEST_F(Locate, NothingAtAllSaysWhereItLooked) {
  add("two", {"rpc-server"});
  write_file_atomically(add("built", {"ggml-rpc-server"}) / "llama-server", "not a program").ok();
  const auto found = locate_engine(places());
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, Code::not_found);
  for (const char* place : {"built", "home/llama.cpp/build/bin", "prefix/bin", "PATH"}) {
    EXPECT_THAT(found.error().message, HasSubstr(place));
  }
  EXPECT_THAT(found.error().hint, HasSubstr("./run build"));
}

TEST_F(Locate, LibrariesAreFoundBesideTheProgramBehindALink) {
  const fs::path real = add("real", {"llama-server", "ggml-rpc-server"});
  const fs::path links = add("links", {});
  for (const char* program : {"llama-server", "ggml-rpc-server"})
    fs::create_symlink(real / program, links / program);
  EnginePlaces named;
  named.option = links.string();
  const auto found = locate_engine(named);
  ASSERT_TRUE(found.ok());
  const std::string folders = engine_environment(*found).at("LD_LIBRARY_PATH");
  EXPECT_EQ(folders.substr(0, folders.find(':')), fs::canonical(real).string());
}

TEST_F(Locate, FingerprintTellsBuildsApart) {
  const fs::path folder = add("built", {"llama-server", "ggml-rpc-server"});
  ASSERT_TRUE(write_file_atomically(folder / "libggml-base.so.0", "one").ok());
  ASSERT_TRUE(write_file_atomically(folder / "notes.txt", "one").ok());
  const auto files = locate_engine(places());
  ASSERT_TRUE(files.ok());
  const std::string first = *engine_fingerprint(*files);
  EXPECT_EQ(first.size(), 12U);
  fs::create_symlink(folder / "libggml-base.so.0", folder / "libggml-base.so");
  ASSERT_TRUE(write_file_atomically(folder / "notes.txt", "two").ok());
  EXPECT_EQ(*engine_fingerprint(*files), first) << "links and other files do not count";
  ASSERT_TRUE(write_file_atomically(folder / "libggml-base.so.0", "two").ok());
  EXPECT_NE(*engine_fingerprint(*files), first);
}

}  // namespace
}  // namespace caravan::engine
