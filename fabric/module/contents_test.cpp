#include "fabric/module/contents.h"

#include <sys/mman.h>

#include <memory>

#include <gtest/gtest.h>

#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

constexpr std::string_view kMaps =
    "00001000-00002000 r-xp 00000000 08:01 77                         /usr/bin/x\n"
    "00400000-00500000 r--s 00003000 08:01 1234567                    /home/a b/model.gguf\n"
    "00500000-00600000 rw-p 00000000 00:00 0 \n"
    "7fff0000-7fff1000 rw-p 00000000 00:00 0                          [stack]\n";

TEST(FabricMapping, IsTheFileThatAnAddressShows) {
  const auto found = find_mapping(kMaps, 0x400010);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->path, "/home/a b/model.gguf");
  EXPECT_EQ(found->inode, 1234567U);
  EXPECT_EQ(found->offset, 0x3010U);
  for (const std::uintptr_t none : {0xfffU, 0x2000U, 0x500000U, 0x600000U, 0x7fff0000U}) {
    EXPECT_FALSE(find_mapping(kMaps, none)) << none;
  }
  EXPECT_FALSE(find_mapping("x\n\n-\n1000\n1000-\n1000-2000\n1000-2000 r 0 0 z\n", 0x1000));
}

class FabricContentsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_model(model_, {{"a", GGML_TYPE_F32, {256, 4}, 1}, {"b", GGML_TYPE_F16, {256, 4}, 2}});
    auto opened = Contents::open(model_, folder_.path() / "manifests");
    ASSERT_TRUE(opened) << opened.error().message;
    contents_.emplace(std::move(*opened));
  }

  std::optional<Content> of(const char* name, ggml_type type, std::string_view bytes) const {
    ggml_tensor tensor{};
    tensor.type = type;
    ggml_set_name(&tensor, name);
    return contents_->of(tensor, bytes);
  }

  const TemporaryFolder folder_ = TemporaryFolder::make("contents").value();
  const fs::path model_ = folder_.path() / "m.gguf";
  const std::string a_ = content_of(4096, 1);
  const std::string b_ = content_of(2048, 2);
  std::optional<Contents> contents_;
};

TEST_F(FabricContentsTest, BytesAreWhatTheirHashSays) {
  EXPECT_EQ(of("a", GGML_TYPE_F32, a_), (Content{digest_of(a_), a_.size()}));
  EXPECT_FALSE(of("c", GGML_TYPE_F32, a_)) << "no such name";
  EXPECT_FALSE(of("a", GGML_TYPE_F16, a_)) << "another type";
  EXPECT_FALSE(of("a", GGML_TYPE_F32, std::string_view(a_).substr(1))) << "another size";
  std::string other = a_;
  other.back() ^= 1;
  EXPECT_FALSE(of("a", GGML_TYPE_F32, other)) << "the name is right, the content is not";
}

TEST_F(FabricContentsTest, MappedBytesAreWhatTheirPlaceSaysUntilTheFileChanges) {
  const auto size = fs::file_size(model_);
  auto file = open_for_reading(model_);
  ASSERT_TRUE(file.ok());
  void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file->get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  const std::string_view all(static_cast<const char*>(map), size);
  const auto b = all.substr(all.rfind(b_), b_.size());
  // Only the place can know a tensor under another name.
  EXPECT_EQ(of("another name", GGML_TYPE_F16, b), (Content{digest_of(b_), b_.size()}));
  EXPECT_FALSE(of("another name", GGML_TYPE_F32, b));
  EXPECT_FALSE(of("another name", GGML_TYPE_F16, b.substr(2)));
  fs::last_write_time(model_, fs::last_write_time(model_) - std::chrono::hours(1));
  EXPECT_FALSE(of("another name", GGML_TYPE_F16, b)) << "it may have another content now";
  EXPECT_EQ(of("b", GGML_TYPE_F16, b), (Content{digest_of(b_), b_.size()})) << "its hash still tells";
  ::munmap(map, size);
}

TEST_F(FabricContentsTest, PiecesOfMappedTensorsCanBeReadAgain) {
  const auto size = fs::file_size(model_);
  auto file = open_for_reading(model_);
  ASSERT_TRUE(file.ok());
  void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file->get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  const std::string_view all(static_cast<const char*>(map), size);
  const char* const a = all.data() + all.find(a_);
  const auto slice = contents_->slice_at(a + 100, a + 3 * 1024 + 400, 300, 1024);
  ASSERT_TRUE(slice.has_value());
  std::string wanted;
  for (std::size_t i = 0; i < 4; ++i) wanted += a_.substr(100 + i * 1024, 300);
  std::string part(700, '\0');
  ASSERT_TRUE(contents_->read(*slice, 250, part).ok());
  EXPECT_EQ(part, wanted.substr(250, 700));
  EXPECT_FALSE(contents_->slice_at(a, a, 300, 1024));
  EXPECT_FALSE(contents_->slice_at(a_.data(), a_.data() + 300, 300, 1024)) << "no file is shown there";
  EXPECT_FALSE(contents_->slice_at(a, a + (std::size_t{1} << 40U), 300, 1024));
  fs::last_write_time(model_, fs::last_write_time(model_) - std::chrono::hours(1));
  EXPECT_FALSE(contents_->slice_at(a, a + 300, 300, 1024)) << "the file is another one now";
  ::munmap(map, size);
}

TEST_F(FabricContentsTest, AnyPartOfAContentCanBeRead) {
  std::string part(100, '\0');
  const Content a{digest_of(a_), a_.size()};
  ASSERT_TRUE(contents_->read(a, 3000, part).ok());
  EXPECT_EQ(part, a_.substr(3000, 100));
  EXPECT_EQ(contents_->type_of(a), static_cast<std::uint32_t>(GGML_TYPE_F32));
  EXPECT_FALSE(contents_->read({digest_of("x"), 1}, 0, part).ok());
}

TEST_F(FabricContentsTest, WhatIsNoModelIsAnError) {
  write_bytes(model_, "no model");
  EXPECT_FALSE(Contents::open(model_, folder_.path() / "manifests").ok());
  EXPECT_FALSE(Contents::open(folder_.path() / "missing.gguf", folder_.path() / "manifests").ok());
}

}  // namespace
}  // namespace caravan::fabric
