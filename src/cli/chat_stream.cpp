#include "cli/chat_stream.h"

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "base/units.h"
#include "engine/sse.h"

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMaxPayloadBytes = 1U << 20U;
constexpr std::chrono::seconds kConnectTime{10};
constexpr std::chrono::minutes kSilenceTime{10};

Error api_error(const Json& error) {
  Fields fields(error, "error");
  std::string message = fields.text_or("message", "the API reported an error without a message");
  return Error{Code::unavailable, std::move(message), ""};
}

asio::awaitable<Result<std::string>> read_rest(engine::HttpExchange& exchange) {
  std::string body;
  for (;;) {
    const auto piece = co_await exchange.read_some(kConnectTime);
    if (!piece) co_return piece.error();
    if (piece->empty() || body.size() > kMaxPayloadBytes) co_return body;
    body += *piece;
  }
}

asio::awaitable<Error> refused(engine::HttpExchange& exchange, unsigned status) {
  const auto body = co_await read_rest(exchange);
  const auto json = body ? parse_json(*body, kMaxPayloadBytes) : Result<Json>(body.error());
  if (json && json->is_object() && json->contains("error")) co_return api_error((*json)["error"]);
  co_return Error{Code::unavailable, fmt::format("the API answered {}", status), ""};
}

}  // namespace

Result<std::string> take_chunk(std::string_view payload, ChatResult& result) {
  const auto json = parse_json(payload, kMaxPayloadBytes);
  if (!json) return with_context(json.error(), "an event of the stream");
  Fields fields(*json, "event");
  if (const Json* error = fields.object_or_none("error")) return api_error(*error);
  std::string text;
  for (const Json& choice : fields.list_or_none("choices")) {
    Fields parts(choice, "choices[]");
    result.finish_reason = parts.text_or("finish_reason", result.finish_reason);
    if (const Json* delta = parts.object_or_none("delta")) {
      text += Fields(*delta, "delta").text_or("content", "");
    }
    if (!parts.ok()) return parts.error();
  }
  if (const Json* usage = fields.object_or_none("usage")) {
    Fields counts(*usage, "usage");
    result.prompt_tokens = counts.whole_or("prompt_tokens", 0);
    result.completion_tokens = counts.whole_or("completion_tokens", 0);
  }
  if (const Json* timings = fields.object_or_none("timings")) {
    Fields rates(*timings, "timings");
    result.prompt_tokens_per_second = rates.number_or("prompt_per_second", 0);
    result.tokens_per_second = rates.number_or("predicted_per_second", 0);
  }
  if (!fields.ok()) return fields.error();
  result.text += text;
  return text;
}

asio::awaitable<Result<ChatResult>> stream_chat(engine::HttpAddress address, Json request,
                                                std::function<void(std::string_view)> on_text) {
  const TimePoint begin = Clock::now();
  request["stream"] = true;
  request["stream_options"] = {{"include_usage", true}};
  engine::HttpRequest http{.method = "POST",
                           .target = "/v1/chat/completions",
                           .headers = {{"Content-Type", "application/json"}},
                           .body = dump_json(request)};
  const auto executor = co_await asio::this_coro::executor;
  auto exchange =
      co_await engine::HttpExchange::open(executor, std::move(address), std::move(http), kConnectTime);
  if (!exchange) co_return exchange.error();
  const auto head = co_await exchange->read_head(kSilenceTime);
  if (!head) co_return head.error();
  if (head->status != 200) co_return co_await refused(*exchange, head->status);

  ChatResult result;
  engine::SseDecoder decoder;
  for (;;) {
    const auto piece = co_await exchange->read_some(kSilenceTime);
    if (!piece) co_return piece.error();
    if (piece->empty()) co_return Error{Code::disconnected, "the stream ended without [DONE]", ""};
    for (const std::string& payload : decoder.feed(*piece)) {
      if (payload == "[DONE]") {
        result.total = Clock::now() - begin;
        co_return result;
      }
      const auto text = take_chunk(payload, result);
      if (!text) co_return text.error();
      if (text->empty()) continue;
      if (result.first_token.count() == 0) result.first_token = Clock::now() - begin;
      on_text(*text);
    }
    if (decoder.failed())
      co_return Error{Code::invalid, "the stream is not in the form of Server-Sent Events", ""};
  }
}

}  // namespace caravan::cli
