// Frames of a peer that measures a link, and what a node says about its links.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "link/link_speed.h"
#include "link/measure_frame.h"

using namespace caravan;
using namespace caravan::link;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view rest = text;
  while (rest.size() >= kFrameHeaderBytes) {
    std::array<unsigned char, kFrameHeaderBytes> head{};
    for (std::size_t i = 0; i < head.size(); ++i) head.at(i) = static_cast<unsigned char>(rest[i]);
    const auto header = decode_frame_header(head);
    if (!header) break;
    if (header->length > kMaxFrameBytes) std::abort();
    rest.remove_prefix(kFrameHeaderBytes);
    const std::string_view payload = rest.substr(0, header->length);
    if (encode_frame(header->kind, std::string(header->length, 'x'))
            .compare(0, head.size(), std::string(head.begin(), head.end())) != 0)
      std::abort();
    std::array<std::uint64_t, 2> numbers{};
    if (decode_numbers(payload, numbers) && encode_numbers(numbers) != payload) std::abort();
    rest.remove_prefix(payload.size());
  }
  const auto json = parse_json(text, 4096);
  const auto speed = json ? link_speed_from_json(*json) : Result<LinkSpeed>(json.error());
  if (speed && !link_speed_from_json(to_json(*speed))) std::abort();
  return 0;
}
