#include "app/cluster_api.h"

#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kHeartbeat{1};
constexpr std::size_t kMostAsked = std::size_t{64} << 10U;
constexpr const char* kJson = "application/json";

asio::awaitable<void> heartbeat() {
  asio::steady_timer timer(co_await asio::this_coro::executor, kHeartbeat);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> stream_views(ClusterSide& cluster, gateway::Responder& responder) {
  if (!co_await responder.start(200, "application/x-ndjson")) co_return;
  for (;;) {
    const std::uint64_t seen = cluster.changes().count();
    if (!co_await responder.write(dump_json(cluster.view()) + "\n")) co_return;
    const auto woken = co_await (cluster.changes().past(seen) || heartbeat() || responder.client_gone());
    if (woken.index() == 2) co_return;
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
  }
}

Result<Json> answer(const Result<void>& done) { return done ? Result<Json>(Json::object()) : done.error(); }

Result<Json> invite(ClusterSide& cluster, const Json& asked) {
  Fields fields(asked, "invite");
  const bool with_code = fields.flag_or("code", false);
  return fields.ok() ? cluster.invite(with_code) : Result<Json>(fields.error());
}

Result<Json> confirm(ClusterSide& cluster, const Json& asked) {
  Fields fields(asked, "confirm");
  const std::string digits = fields.text("digits");
  const bool same = fields.flag_or("same", false);
  return fields.ok() ? answer(cluster.confirm(digits, same)) : Result<Json>(fields.error());
}

/// The calls that are about one device.
Result<Json> about_device(ClusterSide& cluster, const std::string& what, const Json& asked) {
  Fields fields(asked, what);
  const std::string device = fields.text("device");
  const std::string name = what == "rename" ? fields.text("name") : "";
  if (!fields.ok()) return fields.error();
  if (what == "remove") return answer(cluster.remove(device));
  if (what == "rename") return answer(cluster.rename(device, name));
  return answer(cluster.promote(device));
}

Result<Json> carry_out(ClusterSide& cluster, const std::string& what, const Json& asked) {
  if (what == "invite") return invite(cluster, asked);
  if (what == "confirm") return confirm(cluster, asked);
  if (what == "remove" || what == "rename" || what == "promote") return about_device(cluster, what, asked);
  if (what == "leave") return answer(cluster.leave());
  if (what == "serve") return answer(cluster.serve(asked));
  if (what != "uninvite") return Error{Code::not_found, "no such call: " + what, "see docs/control-api.md"};
  cluster.close_pairing();
  return Json::object();
}

}  // namespace

asio::awaitable<void> handle_cluster(ClusterSide& cluster, gateway::Request request,
                                     gateway::Responder& responder) {
  if (request.method == "GET" && request.target == "/v1/cluster") {
    co_await responder.send(200, kJson, dump_json(cluster.view()));
    co_return;
  }
  if (request.method == "GET" && request.target == "/v1/cluster/events") {
    co_await stream_views(cluster, responder);
    co_return;
  }
  const std::string prefix = "/v1/cluster/";
  const bool is_call = request.method == "POST" && request.target.starts_with(prefix);
  const std::string what = is_call ? request.target.substr(prefix.size()) : request.target;
  const auto asked =
      request.body.empty() ? Result<Json>(Json::object()) : parse_json(request.body, kMostAsked);
  const auto done = asked ? carry_out(cluster, what, *asked) : Result<Json>(asked.error());
  if (done) {
    co_await responder.send(200, kJson, dump_json(*done));
  } else {
    const Json body{{"error", to_json(done.error())}};
    co_await responder.send(http_status_of(done.error().code), kJson, dump_json(body));
  }
}

}  // namespace caravan::app
