// Messages of a linked node, as they come from its connection. What is accepted must survive the way back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "link/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan::link;
  const auto message = decode_message(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!message) return 0;
  const std::string sent = encode_message(*message);
  const auto again = decode_message(sent);
  // Text that is no UTF-8 grows when it is replaced, past a limit of length even.
  if (again && again->index() != message->index()) std::abort();
  if (again && encode_message(*again) != sent) std::abort();
  if (const auto* hello = std::get_if<Hello>(&*message)) {
    if (!compare_hello(*hello, *hello)) std::abort();
    (void)compare_hello(Hello{}, *hello);
  }
  return 0;
}
