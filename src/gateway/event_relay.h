// Passes a stream of events on in whole events, and knows whether it came to its proper end. Pure.
#pragma once

#include <string>
#include <string_view>

#include "engine/sse.h"

namespace caravan::gateway {

class EventRelay {
 public:
  /// The events that `bytes` completes, unchanged and with the comments between them; often nothing. Holding
  /// back a half event (at most 1 MiB, longer ones make it fail) leaves room for an error event should the
  /// rest never come.
  std::string feed(std::string_view bytes);

  bool failed() const { return decoder_.failed(); }

  /// The last event was [DONE] or an error. A stream that ends before that was cut, even if HTTP's own end
  /// mark came: llama-server sends one when it is told to stop.
  bool complete() const { return complete_; }

 private:
  engine::SseDecoder decoder_;
  std::string pending_;
  bool complete_ = false;
};

}  // namespace caravan::gateway
