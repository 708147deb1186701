#include "app/node_client.h"

#include <chrono>
#include <utility>

#include <boost/asio/this_coro.hpp>

#include "app/control_call.h"

namespace caravan::app {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kCallTime{3};
constexpr std::chrono::seconds kSilence{
    10};  // heartbeats come every second; the controller judges silence earlier

/// A call of which only the success matters.
asio::awaitable<Result<void>> command(fs::path socket, engine::HttpRequest request) {
  engine::HttpAddress address = engine::UnixAddress{std::move(socket)};
  const auto reply = co_await engine::http_call(std::move(address), std::move(request), kCallTime,
                                                cluster::kMaxMessageBytes);
  if (!reply) co_return reply.error();
  const auto json = json_of(*reply, cluster::kMaxMessageBytes);
  if (!json) co_return json.error();
  co_return Result<void>{};
}

}  // namespace

asio::awaitable<Result<cluster::NodeState>> NodeClient::state() const {
  engine::HttpAddress address = engine::UnixAddress{socket_};
  engine::HttpRequest request = request_for("GET", "/v1/state");
  const auto reply = co_await engine::http_call(std::move(address), std::move(request), kCallTime,
                                                cluster::kMaxMessageBytes);
  if (!reply) co_return reply.error();
  const auto json = json_of(*reply, cluster::kMaxMessageBytes);
  if (!json) co_return json.error();
  co_return cluster::node_state_from_json(*json);
}

asio::awaitable<Result<void>> NodeClient::assign(cluster::Assignment assignment) const {
  engine::HttpRequest request = request_for("PUT", "/v1/assignment", dump_json(to_json(assignment)));
  co_return co_await command(socket_, std::move(request));
}

asio::awaitable<Result<void>> NodeClient::stop() const {
  engine::HttpRequest request = request_for("POST", "/v1/stop");
  co_return co_await command(socket_, std::move(request));
}

asio::awaitable<Error> NodeClient::watch(std::function<void(cluster::NodeState)> on_state) const {
  const auto executor = co_await asio::this_coro::executor;
  engine::HttpAddress address = engine::UnixAddress{socket_};
  engine::HttpRequest request = request_for("GET", "/v1/events");
  auto exchange =
      co_await engine::HttpExchange::open(executor, std::move(address), std::move(request), kCallTime);
  if (!exchange) co_return exchange.error();
  const auto head = co_await exchange->read_head(kCallTime);
  if (!head) co_return head.error();
  std::string pending;
  for (;;) {
    const auto piece = co_await exchange->read_some(kSilence);
    if (!piece) co_return piece.error();
    if (piece->empty()) co_return Error{Code::disconnected, "the node closed its event stream", ""};
    pending += *piece;
    for (std::size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      const auto json = parse_json(std::string_view(pending).substr(0, end), cluster::kMaxMessageBytes);
      pending.erase(0, end + 1);
      if (!json) co_return json.error();
      auto state = cluster::node_state_from_json(*json);
      if (!state) co_return state.error();
      on_state(std::move(*state));
    }
    if (pending.size() > cluster::kMaxMessageBytes)
      co_return Error{Code::invalid, "an endless line of state", ""};
  }
}

}  // namespace caravan::app
