#include "app/cluster_client.h"

#include <utility>

#include <boost/asio/this_coro.hpp>

#include "app/control_call.h"

namespace caravan::app {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kCallTime{5};
constexpr std::chrono::seconds kSilence{10};
constexpr std::size_t kMostBytes = std::size_t{4} << 20U;

Error not_up(const Error& cause) {
  if (cause.code != Code::unavailable && cause.code != Code::not_found) return cause;
  return {Code::unavailable, "this device is not up", "`caravan up -d` starts its node"};
}

}  // namespace

asio::awaitable<Result<Json>> ClusterClient::view() const {
  engine::HttpAddress address = engine::UnixAddress{socket_};
  engine::HttpRequest request = request_for("GET", "/v1/cluster");
  const auto reply =
      co_await engine::http_call(std::move(address), std::move(request), kCallTime, kMostBytes);
  if (!reply) co_return not_up(reply.error());
  co_return json_of(*reply, kMostBytes);
}

asio::awaitable<Result<Json>> ClusterClient::ask(std::string what, Json body) const {
  engine::HttpAddress address = engine::UnixAddress{socket_};
  engine::HttpRequest request = request_for("POST", "/v1/cluster/" + what, dump_json(body));
  const auto reply =
      co_await engine::http_call(std::move(address), std::move(request), kCallTime, kMostBytes);
  if (!reply) co_return not_up(reply.error());
  co_return json_of(*reply, kMostBytes);
}

asio::awaitable<Result<void>> ClusterClient::watch(std::function<bool(const Json&)> on_view) const {
  const auto executor = co_await asio::this_coro::executor;
  engine::HttpAddress address = engine::UnixAddress{socket_};
  engine::HttpRequest request = request_for("GET", "/v1/cluster/events");
  auto exchange =
      co_await engine::HttpExchange::open(executor, std::move(address), std::move(request), kCallTime);
  if (!exchange) co_return not_up(exchange.error());
  const auto head = co_await exchange->read_head(kCallTime);
  if (!head) co_return head.error();
  std::string pending;
  for (;;) {
    const auto piece = co_await exchange->read_some(kSilence);
    if (!piece) co_return piece.error();
    if (piece->empty())
      co_return Error{Code::disconnected, "the node has ended", "`caravan up -d` starts it"};
    pending += *piece;
    for (std::size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      const auto view = parse_json(std::string_view(pending).substr(0, end), kMostBytes);
      pending.erase(0, end + 1);
      if (!view) co_return view.error();
      if (!on_view(*view)) co_return Result<void>{};
    }
    if (pending.size() > kMostBytes) co_return Error{Code::invalid, "an endless line from the node", ""};
  }
}

}  // namespace caravan::app
