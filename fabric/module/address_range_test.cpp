#include "fabric/module/address_range.h"

#include <gtest/gtest.h>

namespace caravan::fabric {
namespace {

TEST(AddressRange, SaysWhereInItAnAddressIs) {
  const auto range = AddressRange::reserve(1000);
  ASSERT_TRUE(range);
  const auto* base = static_cast<const char*>(range->base());
  EXPECT_EQ(range->offset_of(base, 1000), 0U);
  EXPECT_EQ(range->offset_of(base + 999, 1), 999U);
  EXPECT_EQ(range->offset_of(base + 1000, 0), 1000U);
}

TEST(AddressRange, RefusesWhatIsNotWhollyInIt) {
  const auto range = AddressRange::reserve(1000);
  ASSERT_TRUE(range);
  const auto* base = static_cast<const char*>(range->base());
  EXPECT_FALSE(range->offset_of(base - 1, 1));
  EXPECT_FALSE(range->offset_of(base, 1001));
  EXPECT_FALSE(range->offset_of(base + 999, 2));
  EXPECT_FALSE(range->offset_of(base + 1001, 0));
  EXPECT_FALSE(range->offset_of(base + 1, SIZE_MAX));
  EXPECT_FALSE(range->offset_of(nullptr, 0));
}

TEST(AddressRange, CostsNoMemoryAndIsRefusedWhenThereIsNoRoom) {
  EXPECT_TRUE(AddressRange::reserve(std::size_t{1} << 36U)) << "64 GiB of addresses";
  EXPECT_FALSE(AddressRange::reserve(SIZE_MAX / 2));
  EXPECT_FALSE(AddressRange::reserve(0));
}

TEST(AddressRange, RangesDoNotOverlap) {
  const auto one = AddressRange::reserve(4096);
  const auto other = AddressRange::reserve(4096);
  ASSERT_TRUE(one && other);
  EXPECT_FALSE(one->offset_of(other->base(), 1));
  EXPECT_FALSE(other->offset_of(one->base(), 1));
}

}  // namespace
}  // namespace caravan::fabric
