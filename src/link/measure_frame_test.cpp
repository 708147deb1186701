#include "link/measure_frame.h"

#include <gtest/gtest.h>

namespace caravan::link {
namespace {

Result<FrameHeader> decoded(std::string_view frame) {
  std::array<unsigned char, kFrameHeaderBytes> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes.at(i) = static_cast<unsigned char>(frame.at(i));
  return decode_frame_header(bytes);
}

TEST(MeasureFrame, GoldenBytesOfVersionOne) {
  const std::array<std::uint64_t, 1> version{kMeasureVersion};
  EXPECT_EQ(encode_frame(FrameKind::hello, encode_numbers(version)),
            std::string("\x01\0\0\0\x08\0\0\0\0\0\0\0\x01", 13));
  EXPECT_EQ(encode_frame(FrameKind::echo, "ab"), std::string("\x02\0\0\0\x02"
                                                             "ab",
                                                             7));
  const std::array<std::uint64_t, 2> numbers{0x0102030405060708ULL, 3};
  EXPECT_EQ(encode_frame(FrameKind::request, encode_numbers(numbers)),
            std::string("\x06\0\0\0\x10\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x03", 21));
  EXPECT_EQ(encode_frame(FrameKind::done, ""), std::string("\x07\0\0\0\0", 5));
}

TEST(MeasureFrame, SurvivesTheWay) {
  const auto header = decoded(encode_frame(FrameKind::data, std::string(kMaxFrameBytes, 'x')));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->kind, FrameKind::data);
  EXPECT_EQ(header->length, kMaxFrameBytes);
  const std::array<std::uint64_t, 2> numbers{~0ULL, 42};
  std::array<std::uint64_t, 2> read{7, 7};
  ASSERT_TRUE(decode_numbers(encode_numbers(numbers), read).ok());
  EXPECT_EQ(read, numbers);
}

TEST(MeasureFrame, RefusesWhatIsNone) {
  for (const std::string& frame :
       {std::string("\x00\0\0\0\0", 5), std::string("\x08\0\0\0\0", 5), std::string("\x02\0\x01\0\x01", 5),
        std::string("\x03\xff\xff\xff\xff", 5), std::string("\x04\0\0\0\x01", 5),
        std::string("\x01\0\0\0\x07", 5), std::string("\x05\0\0\0\x08", 5), std::string("GET /", 5)}) {
    const auto header = decoded(frame);
    ASSERT_FALSE(header.ok());
    EXPECT_EQ(header.error().code, Code::invalid);
  }
  std::array<std::uint64_t, 1> number{};
  EXPECT_FALSE(decode_numbers("1234567", number).ok());
  EXPECT_FALSE(decode_numbers("123456789", number).ok());
}

}  // namespace
}  // namespace caravan::link
