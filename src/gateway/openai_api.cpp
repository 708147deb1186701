#include "gateway/openai_api.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "gateway/event_relay.h"
#include "gateway/local_origin.h"

namespace caravan::gateway {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kRetrySeconds = "5";
constexpr std::string_view kModelPrefix = "/v1/models/";

struct Route {
  std::string_view path;
  std::string_view methods;
};

constexpr std::array kRoutes{
    Route{"/health", "GET, HEAD"},         Route{"/v1/models", "GET, HEAD"},
    Route{"/v1/models/{id}", "GET, HEAD"}, Route{"/v1/chat/completions", "POST"},
    Route{"/v1/completions", "POST"},
};

const Route* route_of(std::string_view path) {
  const bool one_model = path.starts_with(kModelPrefix) && path.size() > kModelPrefix.size();
  const std::string_view pattern = one_model ? "/v1/models/{id}" : path;
  const auto found =
      std::find_if(kRoutes.begin(), kRoutes.end(), [&](const Route& route) { return route.path == pattern; });
  return found == kRoutes.end() ? nullptr : &*found;
}

ApiError unknown_path(const std::string& path) {
  std::vector<std::string> served;
  served.reserve(kRoutes.size());
  for (const Route& route : kRoutes) served.emplace_back(route.path);
  const std::string meant = closest_match(path, served);
  const std::string question = meant.empty() ? "" : fmt::format(" Did you mean {}?", meant);
  return ApiError{
      404,
      fmt::format("There is no {} here.{} Served are: {}", printable(path), question, join(served, ", ")), "",
      "unknown_path"};
}

Json describe(const ReplicaView& view) {
  return {{"id", view.model}, {"object", "model"}, {"created", view.created}, {"owned_by", "caravan"}};
}

Json health(const ReplicaView& view) { return {{"status", "ok"}, {"model", view.model}}; }

ApiError not_ready(const ReplicaView& view) {
  const auto said = [&view](std::string_view otherwise) {
    const std::string message = view.message.empty() ? std::string(otherwise) : view.message;
    return view.hint.empty() ? message : fmt::format("{}; {}", message, view.hint);
  };
  switch (view.phase) {
    case ReplicaView::Phase::loading:
      return ApiError{503, "Loading model", "", "model_loading"};
    case ReplicaView::Phase::starting:
      return ApiError{503, said("the model is being started"), "", "model_starting"};
    case ReplicaView::Phase::failed:
      return ApiError{503, said("the model could not be started"), "", "model_failed"};
    default:
      return ApiError{503, said("no model is running"), "", "no_model"};
  }
}

std::string_view name_of(ReplicaView::Phase phase) {
  constexpr std::array<std::string_view, 6> kNames{"none", "starting", "loading", "ok", "failed", "unknown"};
  return kNames.at(static_cast<std::size_t>(phase));
}

/// The error for clients of the API, the rest for those who wait for the model: people and their scripts.
std::string not_ready_body(const ReplicaView& view) {
  Json body = parse_json(error_body(not_ready(view)), std::size_t{1} << 20U).value();
  body["status"] = name_of(view.phase);
  if (view.phase == ReplicaView::Phase::loading) body["progress"] = view.progress;
  return dump_json(body);
}

ApiError unknown_model(std::string_view id, const std::vector<std::string>& served) {
  const std::string which = served.empty() ? "none is served" : "served are: " + join(served, ", ");
  return ApiError{404, fmt::format("there is no model '{}' here; {}", printable(id), printable(which)),
                  "model", "model_not_found"};
}

ApiError wrong_method(const Route& route) {
  return ApiError{405, fmt::format("{} takes {} only", route.path, route.methods), "", "method_not_allowed"};
}

/// What a client is told when llama-server did not do its part.
ApiError upstream_error(const Error& error) {
  if (error.code == Code::unavailable) {
    return ApiError{504, "the model took too long: " + error.message, "", "engine_timeout"};
  }
  return ApiError{502, "the model stopped in the middle of this request: " + error.message, "",
                  "engine_lost"};
}

engine::HttpHeaders one_header(std::string_view name, std::string_view value) {
  return {{std::string(name), std::string(value)}};
}

engine::HttpHeaders extra_headers(unsigned status) {
  return status == 503 ? one_header("Retry-After", kRetrySeconds) : engine::HttpHeaders();
}

asio::awaitable<void> send_error(Responder& responder, ApiError error, engine::HttpHeaders extra) {
  co_await responder.send(error.status, std::string(kJson), error_body(error), std::move(extra));
}

asio::awaitable<void> send_error(Responder& responder, ApiError error) {
  auto extra = extra_headers(error.status);
  co_await send_error(responder, std::move(error), std::move(extra));
}

asio::awaitable<void> send_json(Responder& responder, Json value) {
  co_await responder.send(200, std::string(kJson), dump_json(value));
}

asio::awaitable<void> send_not_ready(Responder& responder, ReplicaView view) {
  co_await responder.send(503, std::string(kJson), not_ready_body(view), extra_headers(503));
}

/// A request that a model's replica works on.
class Counted {
 public:
  Counted(std::map<std::string, std::size_t>& counts, std::string model)
      : counts_(counts), model_(std::move(model)) {
    ++counts_[model_];
  }
  ~Counted() {
    if (--counts_[model_] == 0) counts_.erase(model_);
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::map<std::string, std::size_t>& counts_;
  std::string model_;
};

milliseconds until(TimePoint end, milliseconds at_most) {
  const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
  return std::clamp(left, milliseconds(0), at_most);
}

}  // namespace

OpenAiApi::OpenAiApi(Replicas replicas, Options options)
    : replicas_(std::move(replicas)), options_(options) {}

std::size_t OpenAiApi::in_flight() const {
  std::size_t count = 0;
  for (const auto& [model, requests] : in_flight_) count += requests;
  return count;
}

std::vector<std::string> OpenAiApi::answering() const {
  std::vector<std::string> models;
  models.reserve(in_flight_.size());
  for (const auto& [model, requests] : in_flight_) models.push_back(model);
  return models;
}

asio::awaitable<void> OpenAiApi::handle(Request request, Responder& responder) {
  const auto foreign = options_.local_only ? check_local_origin(request) : std::nullopt;
  if (foreign) {
    co_await send_error(responder, *foreign);
    co_return;
  }
  const Route* route = route_of(request.target);
  if (route == nullptr) {
    co_await send_error(responder, unknown_path(request.target));
    co_return;
  }
  const auto methods = split(route->methods, ' ');
  const bool allowed = std::any_of(methods.begin(), methods.end(), [&](const std::string& method) {
    return method == request.method || method == request.method + ",";
  });
  if (!allowed) {
    co_await send_error(responder, wrong_method(*route), one_header("Allow", route->methods));
    co_return;
  }
  if (route->methods == "POST") {
    co_await generate(std::move(request), responder);
  } else {
    co_await inform(request, responder);
  }
}

asio::awaitable<void> OpenAiApi::inform(const Request& request, Responder& responder) {
  if (request.target == "/health") {
    co_await report_health(responder);
    co_return;
  }
  if (request.target != "/v1/models") {
    std::string id = request.target.substr(kModelPrefix.size());
    co_await show_model(std::move(id), responder);
    co_return;
  }
  Json data = Json::array();
  const std::vector<std::string> models = replicas_.models();
  for (const std::string& model : models) data.push_back(describe(replicas_.choose({model})));
  Json list{{"object", "list"}, {"data", std::move(data)}};
  co_await send_json(responder, std::move(list));
}

/// One model that answers is enough.
asio::awaitable<void> OpenAiApi::report_health(Responder& responder) {
  ReplicaView first = replicas_.choose({});
  std::optional<ReplicaView> ready;
  if (first.phase == ReplicaView::Phase::ready) ready = first;
  const std::vector<std::string> models = replicas_.models();
  for (auto model = models.begin(); !ready && model != models.end(); ++model) {
    ReplicaView view = replicas_.choose({*model});
    if (view.phase == ReplicaView::Phase::ready) ready = std::move(view);
  }
  if (ready) {
    co_await send_json(responder, health(*ready));
  } else {
    co_await send_not_ready(responder, std::move(first));
  }
}

asio::awaitable<void> OpenAiApi::show_model(std::string id, Responder& responder) {
  const std::vector<std::string> models = replicas_.models();
  if (std::find(models.begin(), models.end(), id) == models.end()) {
    ApiError unknown = unknown_model(id, models);
    co_await send_error(responder, std::move(unknown));
    co_return;
  }
  ReplicaView view = replicas_.choose({std::move(id)});
  if (view.phase == ReplicaView::Phase::ready) {
    co_await send_json(responder, describe(view));
  } else {
    co_await send_not_ready(responder, std::move(view));
  }
}

asio::awaitable<void> OpenAiApi::generate(Request request, Responder& responder) {
  const auto endpoint = request.target == "/v1/completions" ? Endpoint::completion : Endpoint::chat;
  const auto checked = check_generation_request(endpoint, request.body);
  if (const auto* wrong = std::get_if<ApiError>(&checked)) {
    co_await send_error(responder, *wrong);
    co_return;
  }
  const auto& kind = std::get<GenerationRequest>(checked);
  ReplicaView view = replicas_.choose({kind.model, &kind.prompt});
  if (view.phase == ReplicaView::Phase::unknown) {
    ApiError unknown = unknown_model(kind.model, replicas_.models());
    co_await send_error(responder, std::move(unknown));
    co_return;
  }
  if (view.phase != ReplicaView::Phase::ready) {
    co_await send_not_ready(responder, std::move(view));
    co_return;
  }
  const Counted counted(in_flight_, view.model);
  // A client that is gone cancels the exchange, whose connection closes, which makes llama-server stop.
  using namespace asio::experimental::awaitable_operators;
  co_await (forward(kind, std::move(request.body), std::move(view.backend), responder) ||
            responder.client_gone());
}

asio::awaitable<void> OpenAiApi::forward(GenerationRequest kind, std::string body,
                                         engine::HttpAddress backend, Responder& responder) {
  const TimePoint end = Clock::now() + options_.total_time;
  engine::HttpRequest upstream;
  upstream.method = "POST";
  upstream.target = kind.endpoint == Endpoint::chat ? "/v1/chat/completions" : "/v1/completions";
  upstream.headers.emplace_back("Content-Type", kJson);
  upstream.body = std::move(body);
  const auto executor = co_await asio::this_coro::executor;
  auto exchange = co_await engine::HttpExchange::open(executor, std::move(backend), std::move(upstream),
                                                      options_.connect_time);
  if (!exchange.ok()) {
    co_await send_error(responder, upstream_error(exchange.error()));
    co_return;
  }
  const milliseconds silence = kind.stream ? options_.silence_time : options_.total_time;
  auto head = co_await exchange->read_head(until(end, silence));
  if (!head.ok()) {
    co_await send_error(responder, upstream_error(head.error()));
    co_return;
  }
  const std::string* type = engine::find_header(head->headers, "Content-Type");
  if (head->status == 200 && type != nullptr && type->starts_with("text/event-stream")) {
    co_await pass_on_events(*exchange, *type, end, responder);
  } else {
    co_await pass_on_whole(*exchange, *std::move(head), end, responder);
  }
}

asio::awaitable<void> OpenAiApi::pass_on_whole(engine::HttpExchange& exchange, engine::HttpReplyHead head,
                                               TimePoint end, Responder& responder) {
  std::string body;
  while (true) {
    const auto piece = co_await exchange.read_some(until(end, options_.silence_time));
    const bool too_long = piece.ok() && body.size() + piece->size() > options_.reply_bytes;
    if (!piece.ok() || too_long) {
      const Error too_long_error{Code::exhausted, "its reply is too long", ""};
      const ApiError failure = upstream_error(piece.ok() ? too_long_error : piece.error());
      co_await send_error(responder, failure);
      co_return;
    }
    if (piece->empty()) break;
    body += *piece;
  }
  const std::string* type = engine::find_header(head.headers, "Content-Type");
  const bool failed = head.status >= 400;
  if (failed) body = normalized_error_body(head.status, body);
  std::string content_type = failed || type == nullptr ? std::string(kJson) : *type;
  engine::HttpHeaders extra = extra_headers(head.status);
  co_await responder.send(head.status, std::move(content_type), std::move(body), std::move(extra));
}

asio::awaitable<void> OpenAiApi::pass_on_events(engine::HttpExchange& exchange, std::string content_type,
                                                TimePoint end, Responder& responder) {
  EventRelay relay;
  std::optional<Error> broken;
  while (!broken) {
    const auto piece = co_await exchange.read_some(until(end, options_.silence_time));
    if (!piece.ok()) broken = piece.error();
    if (piece.ok() && piece->empty()) broken = Error{Code::disconnected, "it ended without saying so", ""};
    if (broken) break;
    std::string events = relay.feed(*piece);
    if (relay.failed()) broken = Error{Code::exhausted, "one of its events is too long", ""};
    if (events.empty()) continue;
    // Until the first event there may still be an error with a status of its own.
    if (!responder.started()) {
      co_await responder.start(200, content_type, one_header("Cache-Control", "no-cache"));
    }
    if (!co_await responder.write(std::move(events))) co_return;
  }
  if (!relay.complete()) {
    const ApiError error = upstream_error(*broken);
    if (!responder.started()) {
      co_await send_error(responder, error);
      co_return;
    }
    co_await responder.write(fmt::format("data: {}\n\n", error_body(error)));
  }
  co_await responder.finish();
}

}  // namespace caravan::gateway
