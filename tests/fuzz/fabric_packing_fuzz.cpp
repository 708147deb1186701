// Any bytes as packed weights: unpacked to exactly the size that was asked for, or refused; and any bytes as
// weights: they come back as they were. The first byte says the width and, with the second, the size.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "fabric/store/packing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan::fabric;
  if (size < 2) return 0;
  const unsigned width = 1 + data[0] % 4;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  // exactly as many bytes as may be written, so that one more is seen by AddressSanitizer
  std::string out(static_cast<std::size_t>(data[0] >> 2U) * 256 + data[1], '\0');
  if (const auto done = unpack(bytes, width, out); !done && done.error().message.empty()) std::abort();
  if (const auto packed = pack(bytes, width)) {
    if (packed->size() >= bytes.size()) std::abort();
    std::string back(bytes.size(), '\0');
    if (!unpack(*packed, width, back) || back != bytes) std::abort();
  }
  return 0;
}
