#include "fabric/worker/peers.h"

#include <array>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

namespace caravan::fabric::worker {
namespace {

constexpr std::size_t kCount = 32;
using Values = std::array<float, kCount>;

Values there_and_back(Format format, const Values& values) {
  std::string bytes(sizeof(values), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  const auto back = unpack(format, pack(format, bytes), bytes.size());
  Values read{};
  EXPECT_TRUE(back.ok());
  if (back) std::memcpy(read.data(), back->data(), back->size());
  return read;
}

TEST(FabricPeers, LargeValuesDoNotBecomeInfinite) {
  Values values{};
  values[0] = 1e6F;
  values[1] = -1e6F;
  values[2] = std::nanf("");
  values[3] = INFINITY;
  const Values f16 = there_and_back(Format::f16, values);
  EXPECT_EQ(f16[0], 65504.0F);
  EXPECT_EQ(f16[1], -65504.0F);
  EXPECT_TRUE(std::isnan(f16[2])) << "what is broken stays visible";
  EXPECT_TRUE(std::isinf(f16[3]));
  values[2] = values[3] = 0;
  const Values q8 = there_and_back(Format::q8_0, values);
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_NEAR(q8.at(i), values.at(i), 1e6F / 127) << i;
}

}  // namespace
}  // namespace caravan::fabric::worker
