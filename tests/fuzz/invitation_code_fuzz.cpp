// Any text as an invitation code: what is taken is written again in a form that means the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "link/pairing_code.h"

using namespace caravan::link;

namespace {

/// As if the checksum of these bytes were right: mutations would hardly ever hit it.
std::string with_checksum(std::string_view bytes) {
  std::string body(bytes);
  body += text_of(ByteView(sha256(body)).first(4));
  return "caravan1:" + base32(bytes_of(body));
}

void check(std::string_view text) {
  const auto code = InvitationCode::parse(text);
  if (!code) {
    if (code.error().message.empty()) std::abort();
    return;
  }
  const auto again = InvitationCode::parse(code->text());
  if (!again || again->text() != code->text() || again->describe() != code->describe()) std::abort();
  if (code->addresses().size() > kMaxCodeAddresses) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text);
  check(with_checksum(text));
  return 0;
}
