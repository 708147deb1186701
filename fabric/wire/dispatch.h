// From a type's number to its message: which messages each end takes, in one place for the programs and the
// fuzz targets.
#pragma once

#include <string_view>

#include "fabric/wire/reduce_message.h"
#include "fabric/wire/weight_messages.h"

namespace caravan::fabric {

template <typename... Ms>
struct MessageList {
  /// Reads `payload` as the message of the list that has `type` and hands it to `handler(const M&)`, which
  /// returns Result<void>.
  template <typename Handler>
  static Result<void> read(Type type, std::string_view payload, Handler&& handler) {
    Result<void> result = malformed(type, "nobody expects it here");
    (void)((type == Ms::kType && (result = read_one<Ms>(payload, handler), true)) || ...);
    return result;
  }

 private:
  template <typename M, typename Handler>
  static Result<void> read_one(std::string_view payload, Handler& handler) {
    const Result<M> message = read_message<M>(payload);
    if (!message) return message.error();
    return handler(*message);
  }
};

/// What a master sends once the key is proved; GRAPH is not among them, see graph.h.
using Commands = MessageList<Open, Peer, Alloc, Free, Set, SetRows, Fill, Copy, Layout, DropGraph, Run, Get,
                             Send, Receive, Weight, WeightsEnd, Stream, Stats, Ping, Pulse, Reduce>;
/// What a worker sends to a master.
using Answers = MessageList<Hello, Proof, Welcome, Data, Missing, Timeline, Pong, ErrorMessage, Beat>;
/// What a peer sends.
using HandOffs = MessageList<HandOff>;

}  // namespace caravan::fabric
