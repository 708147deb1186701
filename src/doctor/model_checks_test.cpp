#include "doctor/model_checks.h"

#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>

#include "model/gguf_builder.h"
#include "model/part_file.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class ModelChecks : public ::testing::Test {
 protected:
  ModelChecks() { EXPECT_TRUE(make_private_folder(roots_.own).ok()); }
  void write(const fs::path& path, const std::string& content) {
    ASSERT_TRUE(make_private_folder(path.parent_path()).ok());
    std::ofstream(path, std::ios::binary) << content;
  }
  static std::string sound_model() {
    model::GgufBuilder builder;
    builder.text("general.architecture", "llama").number("llama.block_count", 1);
    return builder.tensor("token_embd.weight", {8, 4}).tensor("blk.0.attn_q.weight", {64, 64}).bytes();
  }
  ModelState read() const { return read_model_state(roots_); }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-test");
  model::ModelRoots roots_{folder_->path() / "own", {folder_->path() / "shared"}, {}};
};

TEST_F(ModelChecks, SoundModels) {
  EXPECT_THAT(models_intact(read()).found, HasSubstr("no models here yet"));
  write(roots_.own / "good.gguf", sound_model());
  write(folder_->path() / "shared" / "also.gguf", sound_model());
  write(folder_->path() / "shared" / "mmproj.gguf",
        model::GgufBuilder().text("general.architecture", "clip").bytes());
  const ModelState state = read();
  for (const auto check : {models_intact, models_unfinished, models_folder})
    EXPECT_EQ(check(state).status, Status::ok) << check(state).found;
  EXPECT_THAT(models_intact(state).found, HasSubstr("3 files have sound headers"));
}

TEST_F(ModelChecks, DamagedModels) {
  const std::string good = sound_model();
  write(roots_.own / "cut.gguf", good.substr(0, good.size() - 1000));
  write(roots_.own / "page.gguf", "<!DOCTYPE html><html>" + std::string(500, 'x'));
  write(folder_->path() / "shared" / "it's empty.gguf", "");
  const Finding finding = models_intact(read());
  EXPECT_EQ(finding.status, Status::problem);
  EXPECT_THAT(finding.found, HasSubstr("cut.gguf is truncated"));
  EXPECT_THAT(finding.found, HasSubstr("web page"));
  EXPECT_THAT(finding.found, HasSubstr("it's empty.gguf"));
  EXPECT_THAT(finding.cure, Contains(HasSubstr("it'\\''s empty.gguf'")));
}

TEST_F(ModelChecks, ACatalogueModelOfTheWrongSize) {
  const auto catalogue = model::load_catalogue();
  ASSERT_TRUE(catalogue.ok());
  const auto& entry = *catalogue->find("smollm2-135m");
  write(roots_.own / entry.file, sound_model());
  const Finding finding = models_intact(read());
  EXPECT_EQ(finding.status, Status::problem);
  EXPECT_THAT(finding.found, HasSubstr("should have " + std::to_string(entry.size.count)));
  EXPECT_THAT(finding.cure, Contains("caravan models rm smollm2-135m && caravan models pull smollm2-135m"));
}

TEST_F(ModelChecks, BrokenOffDownloads) {
  write(roots_.own / "SmolLM2-135M-Instruct.Q4_1.gguf.part", std::string(2048, 'x'));
  write(roots_.own / "other.gguf.part", "x");
  auto now = model::PartFile::open(roots_.own / "now.gguf");  // somebody downloads it
  ASSERT_TRUE(now.ok());
  const Finding finding = models_unfinished(read());
  EXPECT_EQ(finding.status, Status::note);
  EXPECT_THAT(finding.found, HasSubstr("SmolLM2-135M-Instruct.Q4_1.gguf.part (2.00 KiB)"));
  EXPECT_THAT(finding.found, Not(HasSubstr("now.gguf")));
  EXPECT_THAT(finding.cure, Contains(HasSubstr("caravan models pull smollm2-135m")));
  EXPECT_THAT(finding.cure, Contains(HasSubstr("rm '")));
}

TEST_F(ModelChecks, TheFolder) {
  ASSERT_EQ(::chmod(roots_.own.c_str(), 0777), 0);
  EXPECT_EQ(models_folder(read()).status, Status::warning);
  EXPECT_THAT(models_folder(read()).cure, Contains(HasSubstr("chmod go-w")));
  fs::remove(roots_.own);
  EXPECT_EQ(models_folder(read()).status, Status::ok);
  write(roots_.own, "a file");
  EXPECT_EQ(models_folder(read()).status, Status::problem);
  EXPECT_THAT(models_folder(read()).found, HasSubstr("is a file"));
}

TEST(ModelChecksPure, AFolderThatMayNotBeRead) {
  ModelState state;
  state.own_folder = "/home/me/.caravan/models";
  state.folder_exists = true;
  state.folder_unusable = Error{Code::invalid, "cannot be used: Permission denied", ""};
  EXPECT_EQ(models_folder(state).status, Status::problem);
  EXPECT_THAT(models_folder(state).cure, Contains(HasSubstr("chmod u+rwx")));
}

}  // namespace
}  // namespace caravan::doctor
