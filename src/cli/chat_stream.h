// One streamed chat completion from an OpenAI-compatible API, as a client sees it.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "base/json.h"
#include "base/result.h"
#include "engine/http_client.h"

namespace caravan::cli {

/// What one answer was, and how fast. Rates are the engine's own (its `timings`), 0 when it does not say; the
/// time to the first token is measured here, from sending the request.
struct ChatResult {
  std::string text;
  std::string finish_reason;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  double prompt_tokens_per_second = 0;
  double tokens_per_second = 0;
  std::chrono::duration<double> first_token{0};
  std::chrono::duration<double> total{0};
};

/// POSTs `request` (a chat completion; "stream" is set here) and calls `on_text` with each piece as it comes.
/// An error event, a stream that ends without an end, and a reply that is no stream are errors.
boost::asio::awaitable<Result<ChatResult>> stream_chat(engine::HttpAddress address, Json request,
                                                       std::function<void(std::string_view)> on_text);

/// Takes one event's payload into `result`; the piece of text that it brought, possibly "". Pure.
Result<std::string> take_chunk(std::string_view payload, ChatResult& result);

}  // namespace caravan::cli
