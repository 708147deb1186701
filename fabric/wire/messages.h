// The messages of the fabric but for GRAPH (graph.h). What each field means and who sends it when:
// docs/fabric-protocol.md. All sizes and offsets are bytes. Nothing here is checked against a worker's state,
// only against the limits: numbers of buffers, offsets and so on are whatever the sender wrote.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "fabric/wire/greeting_messages.h"

namespace caravan::fabric {

struct Open {
  static constexpr Type kType = Type::open;
  std::uint32_t stage = 0;    ///< this worker's place in the plan, from 0
  std::uint32_t device = 0;   ///< index into WELCOME's list
  std::uint32_t threads = 0;  ///< 0: the worker's own number
  std::uint64_t session = 0;  ///< random, the same at all workers of the plan, new for each start
  bool operator==(const Open&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.stage);
    io.must(m.stage < kMaxStages, "a stage that cannot be");
    io.number(m.device);
    io.number(m.threads);
    io.must(m.threads <= kMaxThreads, "too many threads");
    io.number(m.session);
  }
};

struct Peer {
  static constexpr Type kType = Type::peer;
  std::uint32_t stage = 0;  ///< whose address it is
  Key key{};                ///< of that stage
  std::string address;      ///< "127.0.0.1:40123", numeric, as this worker's device reaches it
  bool operator==(const Peer&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.stage);
    io.must(m.stage < kMaxStages, "a stage that cannot be");
    io.bytes(m.key);
    io.text(m.address, kMaxName);
  }
};

/// A range of a buffer.
struct Region {
  std::uint32_t buffer = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  bool operator==(const Region&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.buffer);
    io.number(m.offset);
    io.number(m.size);
  }
};

struct Alloc {
  static constexpr Type kType = Type::alloc;
  std::uint32_t buffer = 0;  ///< number that the master chose; free again after FREE
  std::uint64_t size = 0;    ///< 0 is allowed
  bool operator==(const Alloc&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.buffer);
    io.number(m.size);
    io.must(m.size <= kMaxBufferBytes, "a buffer that is too large");
  }
};

struct Free {
  static constexpr Type kType = Type::free;
  std::uint32_t buffer = 0;
  bool operator==(const Free&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.buffer);
  }
};

struct Set {
  static constexpr Type kType = Type::set;
  std::uint32_t buffer = 0;
  std::uint64_t offset = 0;
  std::string_view data;  ///< at most kMaxChunk bytes; points into the payload
  bool operator==(const Set&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.buffer);
    io.number(m.offset);
    io.rest(m.data, kMaxChunk);
  }
};

struct SetRows {
  static constexpr Type kType = Type::set_rows;
  std::uint32_t buffer = 0;
  std::uint64_t offset = 0;     ///< of the first row
  std::uint32_t row_bytes = 0;  ///< of each row, without gaps in `data`
  std::uint64_t stride = 0;     ///< from row to row in the buffer, at least row_bytes
  std::string_view data;        ///< whole rows, at most kMaxChunk bytes
  bool operator==(const SetRows&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.buffer);
    io.number(m.offset);
    io.number(m.row_bytes);
    io.must(m.row_bytes != 0, "rows without bytes");
    io.number(m.stride);
    io.must(m.stride >= m.row_bytes && m.stride <= kMaxBufferBytes, "a stride that cannot be");
    io.rest(m.data, kMaxChunk);
    if constexpr (Io::kReads) io.must(m.row_bytes != 0 && m.data.size() % m.row_bytes == 0, "part of a row");
  }
};

struct Fill {
  static constexpr Type kType = Type::fill;
  Region region;
  std::uint8_t value = 0;
  bool operator==(const Fill&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    Region::fields(m.region, io);
    io.number(m.value);
  }
};

struct Copy {
  static constexpr Type kType = Type::copy;
  Region from;
  std::uint32_t buffer = 0;  ///< to
  std::uint64_t offset = 0;
  bool operator==(const Copy&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    Region::fields(m.from, io);
    io.number(m.buffer);
    io.number(m.offset);
  }
};

struct Layout {
  static constexpr Type kType = Type::layout;
  std::uint32_t buffer = 0;
  std::uint64_t offset = 0;
  std::uint32_t tensor_type = 0;  ///< ggml_type
  std::array<std::int64_t, kDims> ne{};
  bool operator==(const Layout&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.buffer);
    io.number(m.offset);
    io.number(m.tensor_type);
    for (auto& n : m.ne) io.number(n);
  }
};

struct DropGraph {
  static constexpr Type kType = Type::drop_graph;
  std::uint64_t id = 0;
  bool operator==(const DropGraph&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.id);
  }
};

struct Run {
  static constexpr Type kType = Type::run;
  std::uint64_t id = 0;  ///< of a GRAPH
  bool operator==(const Run&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.id);
  }
};

struct Get {
  static constexpr Type kType = Type::get;
  std::uint32_t request = 0;  ///< comes back in each DATA
  Region region;
  bool operator==(const Get&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
    Region::fields(m.region, io);
  }
};

/// How values travel from worker to worker.
enum class Format : std::uint8_t { as_is = 0, f16 = 1, q8_0 = 2 };

struct Send {
  static constexpr Type kType = Type::send;
  std::uint64_t tag = 0;
  std::uint32_t stage = 0;  ///< that receives it; a PEER said where it is
  Format format = Format::as_is;
  Region region;
  bool operator==(const Send&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.tag);
    io.number(m.stage);
    io.must(m.stage < kMaxStages, "a stage that cannot be");
    io.choice(m.format, Format::q8_0);
    Region::fields(m.region, io);
  }
};

struct Receive {
  static constexpr Type kType = Type::receive;
  std::uint64_t tag = 0;
  std::uint32_t stage = 0;  ///< that sends it
  Region region;
  bool operator==(const Receive&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.tag);
    io.number(m.stage);
    io.must(m.stage < kMaxStages, "a stage that cannot be");
    Region::fields(m.region, io);
  }
};

struct HandOff {
  static constexpr Type kType = Type::hand_off;
  std::uint64_t tag = 0;
  std::uint64_t total = 0;   ///< bytes of all chunks of this tag, as they travel
  std::uint64_t offset = 0;  ///< of this chunk; chunks come in order, without gaps
  Format format = Format::as_is;
  std::string_view data;  ///< at most kMaxChunk bytes
  bool operator==(const HandOff&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.tag);
    io.number(m.total);
    io.number(m.offset);
    io.choice(m.format, Format::q8_0);
    io.rest(m.data, kMaxChunk);
    if constexpr (Io::kReads) {
      io.must(m.total <= kMaxBufferBytes && m.offset <= m.total && m.data.size() <= m.total - m.offset,
              "more bytes than it announced");
    }
  }
};

struct Data {
  static constexpr Type kType = Type::data;
  std::uint32_t request = 0;
  std::uint64_t offset = 0;  ///< from the start of what GET asked for; chunks come in order
  std::string_view data;     ///< at most kMaxChunk bytes
  bool operator==(const Data&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
    io.number(m.offset);
    io.rest(m.data, kMaxChunk);
  }
};

struct Ping {
  static constexpr Type kType = Type::ping;
  std::uint32_t request = 0;
  bool operator==(const Ping&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
  }
};

struct Pulse {
  static constexpr Type kType = Type::pulse;
  std::uint32_t interval_ms = 0;  ///< from BEAT to BEAT; 0: no more
  bool operator==(const Pulse&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.interval_ms);
    io.must(m.interval_ms == 0 || (m.interval_ms >= kLeastPulse && m.interval_ms <= kMostPulse),
            "an interval that cannot be");
  }
};

/// A sign of life that comes in time whatever is computed.
struct Beat {
  static constexpr Type kType = Type::beat;
  std::uint32_t count = 0;  ///< 1 for the first one of the connection, then one more each
  bool operator==(const Beat&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.count);
  }
};

struct Pong {
  static constexpr Type kType = Type::pong;
  std::uint32_t request = 0;
  std::uint64_t free_bytes = 0;  ///< of the device, now
  std::uint64_t total_bytes = 0;
  bool operator==(const Pong&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.request);
    io.number(m.free_bytes);
    io.number(m.total_bytes);
  }
};

/// As caravan::Code, in this order for ever.
enum class ErrorCode : std::uint8_t {
  invalid = 0,
  not_found = 1,
  unavailable = 2,
  disconnected = 3,
  incompatible = 4,
  exhausted = 5,
  interrupted = 6,
  bug = 7,
};

struct ErrorMessage {
  static constexpr Type kType = Type::error;
  ErrorCode code = ErrorCode::bug;
  std::uint32_t stage = 0;  ///< whose error it is; 0 before OPEN
  std::uint16_t about = 0;  ///< Type of the message that it is about, 0: of none
  std::string message;      ///< cause, one line
  std::string hint;         ///< cure, one line; may be empty
  bool operator==(const ErrorMessage&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.choice(m.code, ErrorCode::bug);
    io.number(m.stage);
    io.number(m.about);
    io.text(m.message, kMaxText);
    io.text(m.hint, kMaxText);
  }
};

ErrorMessage to_message(const Error& error, std::uint32_t stage, std::uint16_t about);
Error to_error(const ErrorMessage& message);

}  // namespace caravan::fabric
