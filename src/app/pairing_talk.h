// Carries one pairing conversation between its pure state machine (link/pairing_*.h) and its socket.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "engine/change.h"
#include "link/dial.h"
#include "link/message_socket.h"
#include "link/neighbours.h"
#include "link/pairing_message.h"

namespace caravan::app {

/// What has arrived on a pairing socket, and why it ended. Held by shared_ptr: its reader may outlast the
/// conversation by a moment. One message at a time: the next is read when this one has been acted upon,
/// because how long it may be depends on that, and so that nobody can make us hold more than that.
struct PairingTalk {
  PairingTalk(const boost::asio::any_io_executor& executor, std::unique_ptr<link::MessageSocket> with)
      : socket(std::move(with)), change(executor) {}

  std::unique_ptr<link::MessageSocket> socket;
  link::LinkAddress dialled;  ///< by the one who joins
  std::optional<std::string> inbox;
  std::optional<Error> broken;
  std::optional<bool> answer;  ///< the person's, to the digits
  engine::Change change;

  static boost::asio::awaitable<void> read(std::shared_ptr<PairingTalk> self) {
    for (;;) {
      auto message = co_await self->socket->receive();
      if (!message) self->broken = message.error();
      if (message) self->inbox = std::move(*message);
      self->change.notify();
      if (self->broken) co_return;
      while (self->inbox) co_await self->change.past(self->change.count());
    }
  }

  /// The message in the inbox has been acted upon.
  void next() {
    inbox.reset();
    change.notify();
  }

  void end() {
    socket->close();
    next();  // so that the reader ends too
  }
};

inline boost::asio::awaitable<void> pairing_pause(TimePoint until) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, until);
  co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
}

/// Of a joiner: the membership may be long, and comes only from whom it has proved to be the owner.
template <typename Machine>
void allow_what_is_due(PairingTalk& talk, const Machine& machine) {
  if constexpr (requires { machine.max_message_bytes(); })
    talk.socket->allow(std::max(link::kPairingMessageBytes, machine.max_message_bytes()));
}

/// Runs a state machine to its end. `carry_out` does an action that is no SendText, and may give back more.
/// Returns why it failed, or nothing. The reader has to run already.
template <typename Machine, typename CarryOut>
boost::asio::awaitable<std::optional<Error>> converse(std::shared_ptr<PairingTalk> talk, Machine& machine,
                                                      link::PairingActions actions, CarryOut carry_out) {
  using namespace boost::asio::experimental::awaitable_operators;
  std::optional<Error> failure;
  allow_what_is_due(*talk, machine);
  for (;;) {
    std::deque<link::PairingAction> todo(actions.begin(), actions.end());
    while (!todo.empty()) {
      link::PairingAction action = std::move(todo.front());
      todo.pop_front();
      if (auto* text = std::get_if<link::SendText>(&action)) {
        if (auto sent = co_await talk->socket->send(std::move(text->text)); !sent) co_return sent.error();
        continue;
      }
      if (const auto* failed = std::get_if<link::PairingFailed>(&action)) failure = failed->error;
      for (link::PairingAction& more : carry_out(action)) todo.push_back(std::move(more));
    }
    actions.clear();
    if (machine.is_over()) co_return failure;
    const std::uint64_t seen = talk->change.count();
    if (talk->inbox) {
      actions = machine.on(*talk->inbox, Clock::now());
      allow_what_is_due(*talk, machine);
      talk->next();
    } else if (talk->broken) {
      co_return *talk->broken;
    } else if (talk->answer) {
      const bool same = *std::exchange(talk->answer, std::nullopt);
      if constexpr (requires { machine.confirm(same, Clock::now()); })
        actions = machine.confirm(same, Clock::now());
    } else {
      const TimePoint until = machine.next_deadline().value_or(TimePoint::max());
      co_await (talk->change.past(seen) || pairing_pause(until));
      if (Clock::now() >= until) actions = machine.on_time(Clock::now());
    }
  }
}

}  // namespace caravan::app
