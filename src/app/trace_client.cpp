#include "app/trace_client.h"

#include <chrono>
#include <utility>

#include <boost/asio/this_coro.hpp>

#include "app/control_call.h"
#include "engine/http_client.h"

namespace caravan::app {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kCallTime{5};
constexpr std::chrono::seconds kSilence{10};
constexpr std::size_t kMostBytes = trace::kMaxRecordingBytes + 65536;

Error not_up(const Error& cause) {
  if (cause.code != Code::unavailable && cause.code != Code::not_found && cause.code != Code::disconnected)
    return cause;
  return {Code::unavailable, "this device's node does not answer", "`caravan up -d` starts it"};
}

Result<Trace> trace_from(const Json& line) {
  Fields fields(line, "trace");
  Trace trace;
  trace.model = fields.text("model");
  const Json* const recording = fields.object_or_none("recording");
  if (!fields.ok()) return fields.error();
  if (recording == nullptr) return Error{Code::invalid, "the node's trace has no recording", ""};
  auto read = trace::recording_from_json(*recording);
  if (!read) return read.error();
  trace.recording = std::move(*read);
  return trace;
}

/// Reads one line after the other.
class Lines {
 public:
  explicit Lines(engine::HttpExchange exchange) : exchange_(std::move(exchange)) {}

  asio::awaitable<Result<Json>> next() {
    std::size_t looked = 0;
    for (;;) {
      const std::size_t end = pending_.find('\n', looked);
      if (end != std::string::npos) {
        auto json = parse_json(std::string_view(pending_).substr(0, end), kMostBytes);
        pending_.erase(0, end + 1);
        co_return json;
      }
      looked = pending_.size();
      if (looked > kMostBytes) co_return Error{Code::invalid, "an endless line from the node", ""};
      const auto piece = co_await exchange_.read_some(kSilence);
      if (!piece) co_return piece.error();
      if (piece->empty())
        co_return Error{Code::disconnected, "the node has ended during the trace",
                        "`caravan up -d` starts it"};
      pending_ += *piece;
    }
  }

 private:
  engine::HttpExchange exchange_;
  std::string pending_;
};

}  // namespace

asio::awaitable<Result<Trace>> ask_for_trace(fs::path socket, int tokens, int seconds,
                                             TraceProgress on_progress) {
  const auto executor = co_await asio::this_coro::executor;
  engine::HttpAddress address = engine::UnixAddress{std::move(socket)};
  engine::HttpRequest request =
      request_for("POST", "/v1/trace", dump_json({{"tokens", tokens}, {"seconds", seconds}}));
  auto exchange =
      co_await engine::HttpExchange::open(executor, std::move(address), std::move(request), kCallTime);
  if (!exchange) co_return not_up(exchange.error());
  const auto head = co_await exchange->read_head(kCallTime);
  if (!head) co_return head.error();
  if (head->status != 200) {
    engine::HttpReply reply{head->status, head->headers, ""};
    for (;;) {
      const auto piece = co_await exchange->read_some(kCallTime);
      if (!piece || piece->empty() || reply.body.size() > kMostBytes) break;
      reply.body += *piece;
    }
    const auto refused = json_of(reply, kMostBytes);
    co_return refused ? Error{Code::bug, "the node's answer is none", ""} : refused.error();
  }
  Lines lines(std::move(*exchange));
  for (;;) {
    const auto line = co_await lines.next();
    if (!line) co_return line.error();
    if (!line->is_object()) co_return Error{Code::invalid, "the node's line is no object", ""};
    if (line->contains("error")) co_return error_from_json((*line)["error"]);
    if (line->contains("recording")) co_return trace_from(*line);
    Fields fields(*line, "trace");
    const int so_far = fields.small_or("tokens", 0);
    const bool begun = fields.flag_or("begun", false);
    if (!fields.ok()) co_return fields.error();
    on_progress(so_far, begun);
  }
}

}  // namespace caravan::app
