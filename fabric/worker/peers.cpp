#include "fabric/worker/peers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <ggml.h>

namespace caravan::fabric::worker {
namespace {

constexpr std::chrono::seconds kConnectTime{10};
constexpr float kLargestF16 = 65504.0F;

ggml_type type_of(Format format) { return format == Format::f16 ? GGML_TYPE_F16 : GGML_TYPE_Q8_0; }

std::uint64_t packed_bytes(Format format, std::uint64_t size) {
  return size / sizeof(float) / static_cast<std::uint64_t>(ggml_blck_size(type_of(format))) *
         ggml_type_size(type_of(format));
}

}  // namespace

void Peers::set(const Peer& peer) {
  const std::scoped_lock lock(mutex_);
  Way& way = ways_[peer.stage];
  way.peer = peer;
  way.greeted = false;
  way.channel.reset();
}

void Peers::introduce(std::uint32_t own_stage, std::uint64_t session) {
  hello_.role = Role::peer;
  hello_.stage = own_stage;
  hello_.session = session;
}

Error Peers::gone() { return {Code::interrupted, "the master is gone", ""}; }

Result<void> Peers::connect(Way& way) {
  auto channel = Channel::connect(way.peer.address, allowed_, Clock::now() + kConnectTime);
  if (!channel) return channel.error();
  {
    // From here on cancel() can end it, also while the other end says nothing.
    const std::scoped_lock lock(mutex_);
    if (cancelled_) return gone();
    way.channel = std::make_unique<Channel>(std::move(*channel));
  }
  FrameReader reader(*way.channel, {Role::worker, false});
  const auto deadline = Clock::now() + kGreetingTime;
  const auto welcome = greet(*way.channel, reader, {way.peer.key, engine_}, hello_, deadline);
  if (!welcome) return welcome.error();
  way.greeted = true;
  return {};
}

Result<Channel*> Peers::to(std::uint32_t stage) {
  // Only this thread changes the map, so that the way stays where it is.
  const auto found = ways_.find(stage);
  if (found == ways_.end())
    return Error{Code::not_found, fmt::format("nobody has said where stage {} is", stage),
                 "update Caravan on the master"};
  Way& way = found->second;
  if (!way.greeted) {
    const auto connected = connect(way);
    if (!connected) return with_context(connected.error(), fmt::format("handing over to stage {}", stage));
  }
  return way.channel.get();
}

void Peers::cancel() {
  const std::scoped_lock lock(mutex_);
  cancelled_ = true;
  for (auto& [stage, way] : ways_) {
    if (way.channel) way.channel->shut_down();
  }
}

Result<void> hand_off(Channel& channel, std::uint64_t tag, Format format, std::string_view bytes,
                      Milliseconds patience) {
  const std::uint64_t total = bytes.size();
  std::uint64_t offset = 0;
  do {
    const std::string_view chunk = bytes.substr(0, kMaxChunk);
    std::string frame;
    append_message(frame, HandOff{tag, total, offset, format, chunk});
    if (const auto sent = channel.write_all(frame, patience); !sent) return sent.error();
    offset += chunk.size();
    bytes.remove_prefix(chunk.size());
  } while (!bytes.empty());
  return {};
}

bool pack_fits(Format format, std::uint64_t size) {
  if (format == Format::as_is) return true;
  return size % (sizeof(float) * static_cast<std::uint64_t>(ggml_blck_size(type_of(format)))) == 0;
}

std::string pack(Format format, std::string_view values) {
  std::vector<float> floats(values.size() / sizeof(float));
  std::memcpy(floats.data(), values.data(), floats.size() * sizeof(float));
  // What is too large for f16 would become an infinity, and that a NaN in the next layer.
  if (format == Format::f16) {
    for (float& value : floats) {
      if (std::isfinite(value)) value = std::clamp(value, -kLargestF16, kLargestF16);
    }
  }
  std::string packed(packed_bytes(format, values.size()), '\0');
  ggml_get_type_traits(type_of(format))
      ->from_float_ref(floats.data(), packed.data(), static_cast<std::int64_t>(floats.size()));
  return packed;
}

Result<std::string> unpack(Format format, std::string bytes, std::uint64_t size) {
  const Error wrong{Code::invalid,
                    fmt::format("a hand-off of {} bytes does not fill a region of {}", bytes.size(), size),
                    "update Caravan on the master"};
  if (format == Format::as_is) return bytes.size() == size ? Result<std::string>(std::move(bytes)) : wrong;
  if (!pack_fits(format, size) || packed_bytes(format, size) != bytes.size()) return wrong;
  std::vector<float> floats(size / sizeof(float));
  ggml_get_type_traits(type_of(format))
      ->to_float(bytes.data(), floats.data(), static_cast<std::int64_t>(floats.size()));
  std::string values(size, '\0');
  std::memcpy(values.data(), floats.data(), size);
  return values;
}

}  // namespace caravan::fabric::worker
