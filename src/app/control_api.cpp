#include "app/control_api.h"

#include <chrono>
#include <utility>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>

#include "app/cluster_api.h"

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kHeartbeat{1};
constexpr const char* kJson = "application/json";

std::string error_body(const Error& error) { return dump_json({{"error", to_json(error)}}); }

Error unknown_call(const std::string& call) {
  return {Code::not_found, "no such call: " + call, "see docs/control-api.md"};
}

asio::awaitable<void> send_error(gateway::Responder& responder, const Error& error) {
  co_await responder.send(http_status_of(error.code), kJson, error_body(error));
}

asio::awaitable<void> heartbeat() {
  asio::steady_timer timer(co_await asio::this_coro::executor, kHeartbeat);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> stream_states(const ControlPort& port, gateway::Responder& responder) {
  if (!co_await responder.start(200, "application/x-ndjson")) co_return;
  for (;;) {
    const std::uint64_t seen = port.change->count();
    if (!co_await responder.write(dump_json(to_json(port.state())) + "\n")) co_return;
    const auto woken = co_await (port.change->past(seen) || heartbeat() || responder.client_gone());
    if (woken.index() == 2) co_return;
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
  }
}

asio::awaitable<void> take_assignment(const ControlPort& port, const std::string& body,
                                      gateway::Responder& responder) {
  const auto json = parse_json(body, cluster::kMaxMessageBytes);
  if (!json) co_return co_await send_error(responder, json.error());
  auto assignment = cluster::assignment_from_json(*json);
  if (!assignment) co_return co_await send_error(responder, assignment.error());
  const auto accepted = port.assign(std::move(*assignment));
  if (!accepted) co_return co_await send_error(responder, accepted.error());
  co_await responder.send(200, kJson, dump_json(to_json(port.state())));
}

}  // namespace

asio::awaitable<void> handle_control(const ControlPort& port, gateway::Request request,
                                     gateway::Responder& responder) {
  const std::string call = request.method + " " + request.target;
  if (call == "GET /v1/state") {
    co_await responder.send(200, kJson, dump_json(to_json(port.state())));
  } else if (call == "GET /v1/events") {
    co_await stream_states(port, responder);
  } else if (call == "PUT /v1/assignment") {
    co_await take_assignment(port, request.body, responder);
  } else if (call == "POST /v1/stop") {
    co_await responder.send(202, kJson, "{}");
    port.stop();
  } else if (call == "POST /v1/trace" && port.trace != nullptr) {
    co_await port.trace->handle(std::move(request), responder);
  } else if (port.cluster != nullptr && request.target.starts_with("/v1/cluster")) {
    co_await handle_cluster(*port.cluster, std::move(request), responder);
  } else {
    co_await send_error(responder, unknown_call(call));
  }
}

}  // namespace caravan::app
