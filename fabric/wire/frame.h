// Frames: u32 bytes of payload, u16 type, u16 flags (0), payload. Whoever reads knows from the header alone
// whether the payload may come, before memory is taken for it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fabric/wire/fields.h"
#include "fabric/wire/limits.h"

namespace caravan::fabric {

/// Numbers are never used again with another meaning: 34 and 66 were messages that nobody sent.
enum class Type : std::uint16_t {
  // both ways, before anything else
  hello = 1,
  proof = 2,
  welcome = 3,  ///< from the worker
  // master to worker
  open = 16,
  peer = 17,
  alloc = 18,
  free = 19,
  set = 20,
  set_rows = 21,
  fill = 22,
  copy = 23,
  layout = 24,
  graph = 25,
  drop_graph = 26,
  run = 27,
  get = 28,
  send = 29,
  receive = 30,
  weight = 31,
  weights_end = 32,
  stream = 33,
  stats = 35,
  ping = 36,
  pulse = 37,
  reduce = 38,
  // worker to master
  data = 64,
  missing = 65,
  timeline = 67,
  pong = 68,
  // worker to master, worker to peer, and in place of a WELCOME
  error = 69,
  // worker to master
  beat = 70,
  // peer to worker
  hand_off = 96,
};

/// "ALLOC"; "type 300" of what nobody knows.
std::string name_of(Type type);

/// Who is at the other end, or will be.
enum class Role : std::uint8_t { worker = 0, master = 1, peer = 2 };

struct Header {
  std::uint32_t payload_bytes = 0;
  Type type = Type::error;
  std::uint16_t flags = 0;
  bool operator==(const Header&) const = default;
};

/// What a reader takes: only a greeting until the key is proved, then what the other end's role may say.
struct Expecting {
  Role from = Role::master;
  bool proved = false;
};

/// `bytes` has exactly kHeaderBytes. Refuses types that this sender does not send now, flags, and payloads
/// that are larger than a message of this type can be.
Result<Header> read_header(std::string_view bytes, Expecting expecting);

/// Largest payload of a message of this type, 0 for a type that nobody knows.
std::size_t max_payload(Type type);

/// Appends header and payload of `message` to `out`.
template <typename M>
void append_message(std::string& out, const M& message) {
  const std::size_t begin = out.size();
  out.append(kHeaderBytes, '\0');
  FieldWriter writer(out);
  M::fields(message, writer);
  std::string header;
  FieldWriter head(header);
  head.number(static_cast<std::uint32_t>(out.size() - begin - kHeaderBytes));
  head.number(static_cast<std::uint16_t>(M::kType));
  head.number(std::uint16_t{0});
  out.replace(begin, kHeaderBytes, header);
}

/// "ALLOC: it is cut off", Code::invalid.
Error malformed(Type type, std::string_view why);

/// The message in `payload`. Views in it (SET's data) point into `payload`.
template <typename M>
Result<M> read_message(std::string_view payload) {
  M message;
  FieldReader reader(payload);
  M::fields(message, reader);
  if (reader.failed()) return malformed(M::kType, reader.why());
  if (reader.left() != 0) return malformed(M::kType, "it is too long");
  return message;
}

}  // namespace caravan::fabric
