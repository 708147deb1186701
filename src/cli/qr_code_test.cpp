#include "cli/qr_code.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace caravan::cli {
namespace {

TEST(QrCode, IsASquareOfHalfBlocks) {
  const std::string code = qr_code("caravan1:mfrggzdfmztwq2lk");
  const auto lines = std::count(code.begin(), code.end(), '\n');
  // Version 1 (21 modules) holds 25 capitals and digits; two modules more on each side; two rows a line.
  EXPECT_EQ(lines, (21 + 4 + 1) / 2);
  EXPECT_NE(code.find("█"), std::string::npos);
}

TEST(QrCode, CapitalsAreTheSameCode) { EXPECT_EQ(qr_code("caravan1:abc"), qr_code("CARAVAN1:ABC")); }

TEST(QrCode, WhatIsTooLongIsNoCode) { EXPECT_EQ(qr_code(std::string(8000, 'a')), ""); }

}  // namespace
}  // namespace caravan::cli
