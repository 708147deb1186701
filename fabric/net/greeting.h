// The beginning of a connection: who is there, proof of the plan's key both ways. docs/fabric-protocol.md.
#pragma once

#include <string>

#include "fabric/net/frame_reader.h"
#include "fabric/wire/proof.h"

namespace caravan::fabric {

/// An accepting side waits no longer for all of a greeting.
constexpr Milliseconds kGreetingTime{5000};

struct Identity {
  Key key{};
  std::string engine;  ///< build id of the engine that this process has
};

/// Accepting side: reads the other end's HELLO, answers it and checks its proof; the worker's own proof
/// follows with the WELCOME (welcome()). Refusals are told to the other end. Afterwards the reader expects
/// that role's messages.
struct Accepted {
  Hello hello;
  Proof own_proof;
};
Result<Accepted> accept_greeting(Channel& channel, FrameReader& reader, const Identity& own);
Result<void> welcome(Channel& channel, const Accepted& accepted, const Welcome& message);

/// Connecting side, as master or as peer: `hello` says which; nonce and engine are filled in. Afterwards the
/// reader expects a worker's answers. Blocks until `deadline` at most.
Result<Welcome> greet(Channel& channel, FrameReader& reader, const Identity& own, Hello hello,
                      SteadyTime deadline);

/// Tells the other end why this connection ends; best effort.
void tell(Channel& channel, const Error& error, std::uint32_t stage, std::uint16_t about);
/// The error that an ERROR's payload tells, with printable texts, or the one of reading it.
Error told_error(std::string_view payload);

}  // namespace caravan::fabric
