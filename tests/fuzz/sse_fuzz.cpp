// A stream of events, whole and cut in two: the same events must come out, and the relay must pass on every
// byte of them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/sse.h"
#include "gateway/event_relay.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = data[0] % size;
  constexpr std::size_t kMaxEvent = 64;

  engine::SseDecoder at_once(kMaxEvent);
  const auto events = at_once.feed(stream);
  engine::SseDecoder in_two(kMaxEvent);
  auto joined = in_two.feed(stream.substr(0, cut));
  for (auto& event : in_two.feed(stream.substr(cut))) joined.push_back(std::move(event));
  if (joined != events || in_two.failed() != at_once.failed()) std::abort();
  if (!at_once.failed() && at_once.unfinished_bytes() > stream.size()) std::abort();
  for (const auto& event : events) {
    if (event.size() > kMaxEvent) std::abort();
  }

  gateway::EventRelay relay;
  std::string passed = relay.feed(stream.substr(0, cut));
  passed += relay.feed(stream.substr(cut));
  if (stream.substr(0, passed.size()) != passed) std::abort();
  if (engine::SseDecoder().feed(passed) != engine::SseDecoder().feed(stream)) std::abort();
  return 0;
}
