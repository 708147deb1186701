#include "fabric/wire/frame.h"

#include <array>

namespace caravan::fabric {
namespace {

/// Who may send a type: bits by Role.
constexpr unsigned kWorker = 1U << static_cast<unsigned>(Role::worker);
constexpr unsigned kMaster = 1U << static_cast<unsigned>(Role::master);
constexpr unsigned kPeer = 1U << static_cast<unsigned>(Role::peer);

struct Row {
  Type type;
  std::string_view name;
  unsigned from;
  std::size_t max_payload;
};

constexpr std::size_t kSmall = 64;
constexpr std::size_t kWithChunk = kMaxChunk + kSmall;

constexpr std::array<Row, 32> kTypes{{
    {Type::hello, "HELLO", kWorker | kMaster | kPeer, kMaxGreetingPayload},
    {Type::proof, "PROOF", kWorker | kMaster | kPeer, kSmall},
    {Type::welcome, "WELCOME", kWorker, kMaxDevices * 512},
    {Type::open, "OPEN", kMaster, kSmall},
    {Type::peer, "PEER", kMaster, kMaxName + kSmall},
    {Type::alloc, "ALLOC", kMaster, kSmall},
    {Type::free, "FREE", kMaster, kSmall},
    {Type::set, "SET", kMaster, kWithChunk},
    {Type::set_rows, "SET_ROWS", kMaster, kWithChunk},
    {Type::fill, "FILL", kMaster, kSmall},
    {Type::copy, "COPY", kMaster, kSmall},
    {Type::layout, "LAYOUT", kMaster, kSmall},
    {Type::graph, "GRAPH", kMaster, kMaxPayload},
    {Type::drop_graph, "DROP_GRAPH", kMaster, kSmall},
    {Type::run, "RUN", kMaster, kSmall},
    {Type::get, "GET", kMaster, kSmall},
    {Type::send, "SEND", kMaster, kSmall},
    {Type::receive, "RECEIVE", kMaster, kSmall},
    {Type::weight, "WEIGHT", kMaster, 2 * kSmall},
    {Type::weights_end, "WEIGHTS_END", kMaster, kSmall},
    {Type::stream, "STREAM", kMaster, kWithChunk},
    {Type::stats, "STATS", kMaster, kSmall},
    {Type::ping, "PING", kMaster, kSmall},
    {Type::pulse, "PULSE", kMaster, kSmall},
    {Type::reduce, "REDUCE", kMaster, kSmall},
    {Type::data, "DATA", kWorker, kWithChunk},
    {Type::missing, "MISSING", kWorker, kMaxPayload},
    {Type::timeline, "TIMELINE", kWorker, kMaxPayload},
    {Type::pong, "PONG", kWorker, kSmall},
    {Type::error, "ERROR", kWorker, 4 * kMaxText},
    {Type::beat, "BEAT", kWorker, kSmall},
    {Type::hand_off, "HAND_OFF", kPeer, kWithChunk},
}};

const Row* row_of(Type type) {
  for (const Row& row : kTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

bool is_greeting(Type type) { return type == Type::hello || type == Type::proof; }

}  // namespace

std::string name_of(Type type) {
  const Row* row = row_of(type);
  if (row != nullptr) return std::string(row->name);
  return "type " + std::to_string(static_cast<unsigned>(type));
}

std::size_t max_payload(Type type) {
  const Row* row = row_of(type);
  return row != nullptr ? row->max_payload : 0;
}

Error malformed(Type type, std::string_view why) {
  return {Code::invalid, name_of(type) + ": " + std::string(why),
          "use the same version of Caravan on all devices"};
}

Result<Header> read_header(std::string_view bytes, Expecting expecting) {
  Header header;
  FieldReader reader(bytes);
  reader.number(header.payload_bytes);
  std::uint16_t type = 0;
  reader.number(type);
  header.type = static_cast<Type>(type);
  reader.number(header.flags);
  if (reader.failed() || reader.left() != 0) return malformed(header.type, "its header is not 8 bytes long");
  const Row* row = row_of(header.type);
  if (row == nullptr || (row->from & (1U << static_cast<unsigned>(expecting.from))) == 0)
    return malformed(header.type, "nobody expects it here");
  // Instead of proof and welcome the worker may send an error.
  const bool greets = is_greeting(header.type);
  if (greets == expecting.proved && header.type != Type::error)
    return malformed(header.type,
                     expecting.proved ? "it comes too late" : "it comes before the key is proved");
  if (header.flags != 0) return malformed(header.type, "it has flags that nobody knows");
  if (header.payload_bytes > row->max_payload) return malformed(header.type, "it is too long");
  return header;
}

}  // namespace caravan::fabric
