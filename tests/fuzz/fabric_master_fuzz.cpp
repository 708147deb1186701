// Any bytes as what a master reads from a worker: the first byte says whether the key is proved, then frames
// follow. What is accepted must come out the same when it is written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "fabric/wire/dispatch.h"
#include "fabric/wire/proof.h"

using namespace caravan;
using namespace caravan::fabric;

namespace {

struct SameAgain {
  std::string_view payload;

  template <typename M>
  Result<void> operator()(const M& message) const {
    std::string frame;
    append_message(frame, message);
    if (std::string_view(frame).substr(kHeaderBytes) != payload) std::abort();
    return {};
  }
  Result<void> operator()(const Hello& hello) const {
    const auto checked = check_hello(hello, "b1250", Role::worker, Role::worker);
    if (checked.ok() && hello.engine != "b1250") std::abort();
    return {};
  }
  Result<void> operator()(const ErrorMessage& message) const {
    const ErrorMessage again = to_message(to_error(message), message.stage, message.about);
    if (again != message) std::abort();
    return {};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const Expecting expecting{Role::worker, text[0] % 3 != 0};
  text.remove_prefix(1);
  while (text.size() >= kHeaderBytes) {
    const auto header = read_header(text.substr(0, kHeaderBytes), expecting);
    if (!header) {
      if (header.error().message.empty()) std::abort();
      return 0;
    }
    text.remove_prefix(kHeaderBytes);
    const std::string_view payload = text.substr(0, header->payload_bytes);
    if (payload.size() != header->payload_bytes) return 0;
    (void)Answers::read(header->type, payload, SameAgain{payload});
    text.remove_prefix(payload.size());
  }
  return 0;
}
