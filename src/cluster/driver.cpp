#include "cluster/driver.h"

#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace caravan::cluster {

namespace asio = boost::asio;

Driver::Driver(asio::any_io_executor executor, Controller controller, std::shared_ptr<NodePort> nodes,
               std::function<void(const Serving&)> on_serving)
    : executor_(executor),
      controller_(std::move(controller)),
      nodes_(std::move(nodes)),
      on_serving_(std::move(on_serving)),
      wake_(executor) {}

void Driver::post(Event event) {
  events_.push_back(std::move(event));
  wake_.cancel();
}

asio::awaitable<void> Driver::assign(std::shared_ptr<Driver> self, Assign action) {
  auto accepted = co_await self->nodes_->assign(action.device, std::move(action.assignment));
  if (!accepted) self->post(NodeGone{action.device, accepted.error()});
}

asio::awaitable<Ended> Driver::run() {
  post(Tick{});
  for (;;) {
    while (!events_.empty()) {
      const Event event = std::move(events_.front());
      events_.pop_front();
      for (Action& action : controller_.on(event, Clock::now())) {
        if (auto* ended = std::get_if<Ended>(&action)) co_return std::move(*ended);
        if (const auto* serving = std::get_if<Serving>(&action)) on_serving_(*serving);
        if (auto* command = std::get_if<Assign>(&action)) {
          asio::co_spawn(executor_, assign(shared_from_this(), std::move(*command)), asio::detached);
        }
      }
    }
    wake_.expires_at(controller_.next_deadline().value_or(TimePoint::max()));
    auto [failure] = co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!failure) events_.emplace_back(Tick{});
    if (events_.empty() &&
        (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      co_return Ended{Error{Code::interrupted, "interrupted", ""}};
    }
  }
}

}  // namespace caravan::cluster
