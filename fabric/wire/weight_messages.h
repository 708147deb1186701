// The messages that bring a model's weights, and those that tell where time goes. docs/fabric-protocol.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fabric/wire/messages.h"

namespace caravan::fabric {

/// What the bytes of a tensor hash to, and how many they are.
struct Content {
  Hash hash{};
  std::uint64_t size = 0;
  bool operator==(const Content&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.bytes(m.hash);
    io.number(m.size);
    io.must(m.size <= kMaxBufferBytes, "a tensor that is too large");
  }
};

struct Weight {
  static constexpr Type kType = Type::weight;
  std::uint32_t number = 0;  ///< the master's, for MISSING and STREAM; below kMaxWeights
  std::uint32_t buffer = 0;  ///< where it goes
  std::uint64_t offset = 0;
  Content content;
  bool operator==(const Weight&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.number);
    io.must(m.number < kMaxWeights, "too many weights");
    io.number(m.buffer);
    io.number(m.offset);
    Content::fields(m.content, io);
  }
};

struct WeightsEnd {
  static constexpr Type kType = Type::weights_end;
  std::uint32_t request = 0;
  bool operator==(const WeightsEnd&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
  }
};

struct MissingWeight {
  std::uint32_t weight = 0;  ///< number of a WEIGHT
  std::uint64_t have =
      0;  ///< bytes of it that the store has from a STREAM that was cut: the next one goes on there
  bool operator==(const MissingWeight&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.weight);
    io.number(m.have);
  }
};

struct Missing {
  static constexpr Type kType = Type::missing;
  std::uint32_t request = 0;
  std::vector<MissingWeight> weights;  ///< in the order of their WEIGHTs
  bool operator==(const Missing&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
    io.list(m.weights, kMaxWeights, 12, [&io](auto& weight) { MissingWeight::fields(weight, io); });
  }
};

/// How a STREAM's data is packed: not at all, or as values of so many bytes (docs/fabric-store.md). Packed
/// data is that of a whole chunk: kMaxChunk bytes, or what is left of the tensor.
enum class Packing : std::uint8_t { plain = 0, two_bytes = 2, four_bytes = 4 };

struct Stream {
  static constexpr Type kType = Type::stream;
  std::uint32_t weight = 0;  ///< number of a WEIGHT that is missing
  std::uint64_t offset = 0;  ///< in the unpacked tensor; chunks come in order, without gaps
  Packing packing = Packing::plain;
  std::string_view data;  ///< at most kMaxChunk bytes
  bool operator==(const Stream&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.weight);
    io.number(m.offset);
    io.choice(m.packing, Packing::four_bytes);
    io.must(
        m.packing == Packing::plain || m.packing == Packing::two_bytes || m.packing == Packing::four_bytes,
        "a packing that nobody knows");
    io.rest(m.data, kMaxChunk);
  }
};

/// What STATS asks for.
enum class StatsAction : std::uint8_t { start = 0, collect = 1, stop = 2 };

struct Stats {
  static constexpr Type kType = Type::stats;
  std::uint32_t request = 0;
  StatsAction action = StatsAction::collect;
  bool operator==(const Stats&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
    io.choice(m.action, StatsAction::stop);
  }
};

/// What a worker did in a span of time.
enum class Doing : std::uint8_t { compute = 0, wait_command = 1, wait_peer = 2, send = 3, load = 4 };

struct Span {
  Doing doing = Doing::compute;
  std::uint64_t begin_ns = 0;  ///< on the worker's own steady clock
  std::uint64_t end_ns = 0;
  std::uint64_t detail = 0;  ///< compute: graph id; wait_peer and send: tag; load: bytes
  bool operator==(const Span&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.choice(m.doing, Doing::load);
    io.number(m.begin_ns);
    io.number(m.end_ns);
    io.must(m.end_ns >= m.begin_ns, "a span that ends before it begins");
    io.number(m.detail);
  }
};

struct Timeline {
  static constexpr Type kType = Type::timeline;
  std::uint32_t request = 0;
  std::uint64_t now_ns = 0;   ///< the worker's steady clock when this was written
  std::uint64_t dropped = 0;  ///< spans that there was no room for
  std::vector<Span> spans;
  bool operator==(const Timeline&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
    io.number(m.now_ns);
    io.number(m.dropped);
    io.list(m.spans, kMaxTimelineEntries, 25, [&io](auto& span) { Span::fields(span, io); });
  }
};

}  // namespace caravan::fabric
