// What reaches the lab's emulator from outside, by its first byte: a command of the control socket or a
// packet of a station. A command is refused with a reason or in range; a packet goes only to stations that
// are there.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "lab/command.h"
#include "lab/route.h"

namespace {

using namespace caravan::lab;

constexpr std::size_t kStations = 3;

void check_command(std::string_view line) {
  const auto command = parse_command(line, kStations);
  if (!command) {
    if (command.error().message.empty() || command.error().hint.empty()) std::abort();
    return;
  }
  if (const auto* state = std::get_if<SetState>(&*command); state != nullptr && state->station >= kStations) {
    std::abort();
  }
  if (const auto* link = std::get_if<SetLink>(&*command)) {
    const auto applied = apply_settings({}, link->settings);
    if (!applied || !(applied->megabits > 0) || applied->loss > 1 || applied->delay.count() < 0) std::abort();
    if (link->station && *link->station >= kStations) std::abort();
  }
}

void check_packet(std::span<const std::byte> packet) {
  for (std::size_t from = 0; from < kStations; ++from) {
    for (const std::size_t to : route(packet, from, kStations)) {
      if (to >= kStations || to == from) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  if (data[0] == 'c') {
    check_command({reinterpret_cast<const char*>(data) + 1, size - 1});
  } else {
    check_packet(std::as_bytes(std::span(data + 1, size - 1)));
  }
  return 0;
}
