#include "fabric/store/packing.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <ggml.h>
#include <gmock/gmock.h>

namespace caravan::fabric {
namespace {

using ::testing::HasSubstr;

/// Values as weights have them: around zero.
std::string weights(std::size_t count, ggml_type type) {
  std::mt19937 random(7433);
  std::normal_distribution<float> normal(0.0F, 0.03F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  std::string bytes(ggml_row_size(type, static_cast<std::int64_t>(count)), '\0');
  ggml_quantize_chunk(type, values.data(), bytes.data(), 0, 1, static_cast<std::int64_t>(count), nullptr);
  return bytes;
}

std::string unpacked(std::string_view packed, unsigned width, std::size_t size) {
  std::string out(size, '?');
  const auto done = unpack(packed, width, out);
  return done ? out : "error: " + done.error().message;
}

TEST(Packing, GivesBackWhatWasPacked) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16}) {
    const std::string bytes = weights(100'000, type);
    const auto width = packed_width(type);
    ASSERT_TRUE(width);
    const auto packed = pack(bytes, *width);
    ASSERT_TRUE(packed) << ggml_type_name(type);
    EXPECT_LT(packed->size(), bytes.size() * 9 / 10) << ggml_type_name(type);
    EXPECT_EQ(unpacked(*packed, *width, bytes.size()), bytes);
  }
}

TEST(Packing, KeepsBytesThatAreNoWholeValue) {
  const std::string whole = weights(10'000, GGML_TYPE_BF16);
  for (const std::size_t size : {9'999U, 10'001U, 10'002U, 10'003U}) {
    const std::string bytes = whole.substr(0, size);
    const auto packed = pack(bytes, 4);
    ASSERT_TRUE(packed);
    EXPECT_EQ(unpacked(*packed, 4, size), bytes);
  }
}

TEST(Packing, LeavesAloneWhatGainsNothing) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q8_0, GGML_TYPE_Q6_K}) {
    EXPECT_FALSE(packed_width(type)) << ggml_type_name(type);
  }
  EXPECT_FALSE(packed_width(~0U));
  std::mt19937 random(1);
  std::string noise(100'000, '\0');
  for (char& byte : noise) byte = static_cast<char>(random());
  EXPECT_FALSE(pack(noise, 2));
  EXPECT_FALSE(pack("", 2));
  EXPECT_FALSE(pack("ab", 2));
  EXPECT_FALSE(pack(std::string(kMaxPackedChunk + 1, 'x'), 2));
  EXPECT_FALSE(pack(std::string(100, 'x'), 0));
}

TEST(Packing, RefusesAnotherSizeThanWasPromised) {
  const std::string bytes(1'000'000, 'x');
  const auto packed = pack(bytes, 2);
  ASSERT_TRUE(packed);
  EXPECT_EQ(unpacked(*packed, 2, bytes.size()), bytes);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, bytes.size() - 1, bytes.size() + 1}) {
    EXPECT_THAT(unpacked(*packed, 2, size), HasSubstr("error")) << size;
  }
  EXPECT_THAT(unpacked(*packed, 2, kMaxPackedChunk + 1), HasSubstr("impossible"));
  EXPECT_THAT(unpacked(*packed, 0, bytes.size()), HasSubstr("impossible"));
  EXPECT_THAT(unpacked(*packed + "x", 2, bytes.size()), HasSubstr("error")) << "something behind its end";
  EXPECT_THAT(unpacked(packed->substr(0, packed->size() - 1), 2, bytes.size()), HasSubstr("error"));
  EXPECT_THAT(unpacked("", 2, 0), HasSubstr("error"));
}

}  // namespace
}  // namespace caravan::fabric
