// What two linked nodes say to each other: JSON, named, versioned, length-checked; docs/protocol-link.md
// lists every field. Pure. What upper layers say travels as a Payload, whose body this file does not look
// into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace caravan::link {

/// Version of the link as a whole. Two nodes link only when theirs are equal; see compare_hello.
inline constexpr int kLinkVersion = 1;
/// Longer messages are neither sent nor parsed.
inline constexpr std::size_t kMaxMessageBytes = 1U << 20U;

/// The first message of whoever dialled; Welcome is the answer, and carries the same.
struct Hello {
  int protocol = kLinkVersion;
  std::string device;    ///< id; must be that of the key which TLS has proved
  std::string name;      ///< as people call it
  std::string instance;  ///< of this run of the node: another one means that it was restarted
  std::string engine;    ///< build id, empty without an engine
  std::vector<std::string> capabilities;  ///< names; unknown ones are ignored
  std::uint64_t membership = 0;           ///< version of the membership document that the node has
};

struct Welcome {
  Hello hello;
};

/// Instead of Welcome; the connection ends.
struct Refused {
  Error error;
};

struct Ping {
  std::uint64_t sequence = 0;
};

/// As soon as the Ping is read, with its number.
struct Pong {
  std::uint64_t sequence = 0;
};

/// Dial me as you did for this session, and let me use that connection as a tunnel to your `target`. Answered
/// by the tunnel connection, which shows the token, or by a Problem about the token.
struct DialBack {
  std::string target;
  std::string token;  ///< made for this one connection
};

/// Something that was received cannot be served. Never answered itself.
struct Problem {
  std::string about;  ///< type, name or token of what it answers
  Error error;
};

/// A message of an upper layer.
struct Payload {
  std::string name;
  Json body;
};

/// A type that this version does not know: answered with a Problem.
struct Unknown {
  std::string type;
};

using Message = std::variant<Hello, Welcome, Refused, Ping, Pong, DialBack, Problem, Payload, Unknown>;

/// One line of JSON. The type of an Unknown is all that is written of it.
std::string encode_message(const Message& message);
/// Code::invalid names what is wrong. Unknown fields are ignored.
Result<Message> decode_message(std::string_view text);

/// A name that came from outside, to be shown within a line: without control characters and line breaks.
std::string shown(std::string_view name);

/// Whether two nodes can work together: same protocol, same engine build (a node without an engine may link;
/// it can carry nothing). Code::incompatible says which device has to do what, seen from `mine`.
Result<void> compare_hello(const Hello& mine, const Hello& theirs);

}  // namespace caravan::link
