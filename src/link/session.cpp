#include "link/session.h"

#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

namespace caravan::link {
namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kHelloTime{5};
constexpr std::size_t kMaxQueueBytes = 8 * kMaxMessageBytes;

Error out_of_turn() {
  return Error{Code::invalid, "the other device sent something else than a hello",
               "both devices need the same version of Caravan"};
}

/// TLS has proved the key; a hello in another device's name is a lie or a bug.
Result<void> check_hello(const Hello& mine, const Hello& theirs, const std::string& proved) {
  if (auto fits = compare_hello(mine, theirs); !fits) return fits;
  if (theirs.device == proved) return {};
  return Error{Code::invalid,
               fmt::format("{} says that it is {} and is {}", shown(theirs.name),
                           short_id(shown(theirs.device)), short_id(proved)),
               ""};
}

asio::awaitable<Result<Message>> receive_one(MessageSocket& socket) {
  const auto text = co_await socket.receive();
  if (!text) co_return text.error();
  co_return decode_message(*text);
}

}  // namespace

asio::awaitable<Result<std::shared_ptr<Session>>> Session::greet(std::unique_ptr<MessageSocket> socket,
                                                                 Hello mine) {
  socket->connection().arm(Clock::now() + kHelloTime);
  auto sent = co_await socket->send(encode_message(mine));
  if (!sent) co_return sent.error();
  const auto answer = co_await receive_one(*socket);
  if (!answer) co_return answer.error();
  if (const auto* refused = std::get_if<Refused>(&*answer)) co_return refused->error;
  const auto* welcome = std::get_if<Welcome>(&*answer);
  if (welcome == nullptr) co_return out_of_turn();
  auto fits = check_hello(mine, welcome->hello, socket->connection().peer());
  if (!fits) co_return fits.error();
  socket->connection().disarm();
  co_return std::make_shared<Session>(std::move(socket), welcome->hello, /*dialled=*/true);
}

asio::awaitable<Result<std::shared_ptr<Session>>> Session::welcome(std::unique_ptr<MessageSocket> socket,
                                                                   Hello mine) {
  socket->connection().arm(Clock::now() + kHelloTime);
  const auto first = co_await receive_one(*socket);
  if (!first) co_return first.error();
  const auto* hello = std::get_if<Hello>(&*first);
  const auto fits =
      hello != nullptr ? check_hello(mine, *hello, socket->connection().peer()) : Result<void>(out_of_turn());
  const Message answer = fits ? Message(Welcome{mine}) : Message(Refused{fits.error()});
  auto sent = co_await socket->send(encode_message(answer));
  if (!fits) co_return fits.error();
  if (!sent) co_return sent.error();
  socket->connection().disarm();
  co_return std::make_shared<Session>(std::move(socket), *hello, /*dialled=*/false);
}

Session::Session(std::unique_ptr<MessageSocket> socket, Hello theirs, bool dialled)
    : socket_(std::move(socket)),
      theirs_(std::move(theirs)),
      dialled_(dialled),
      heart_(Clock::now()),
      queue_grew_(socket_->connection().executor()),
      beat_timer_(socket_->connection().executor()) {}

Session::~Session() { socket_->close(); }

void Session::start(SessionEvents events, HeartbeatTimes times) {
  events_ = std::move(events);
  heart_ = Heartbeat(Clock::now(), times);
  const auto executor = socket_->connection().executor();
  const auto self = shared_from_this();
  asio::co_spawn(executor, receive_messages(self), asio::detached);
  asio::co_spawn(executor, send_queue(self), asio::detached);
  asio::co_spawn(executor, beat(self), asio::detached);
}

std::string Session::address() const { return socket_->connection().address(); }

Result<void> Session::send(std::string name, Json body) {
  return send(Payload{std::move(name), std::move(body)});
}

Result<void> Session::send(const Message& message) {
  if (closed_) return Error{Code::disconnected, fmt::format("{} is not linked", shown(theirs_.name)), ""};
  std::string text = encode_message(message);
  if (text.size() > kMaxMessageBytes) {
    return Error{Code::exhausted,
                 fmt::format("a message of {} bytes, at most {} can be sent", text.size(), kMaxMessageBytes),
                 ""};
  }
  if (queued_bytes_ + text.size() > kMaxQueueBytes) {
    return Error{Code::exhausted, fmt::format("{} does not take what is sent", shown(theirs_.name)), ""};
  }
  enqueue(std::move(text), /*first=*/false);
  return {};
}

void Session::enqueue(std::string text, bool first) {
  queued_bytes_ += text.size();
  if (first) {
    queue_.push_front(std::move(text));
  } else {
    queue_.push_back(std::move(text));
  }
  queue_grew_.cancel();
}

void Session::heard() { act(heart_.on(Heartbeat::Heard{}, Clock::now())); }

void Session::close(const Error& why) {
  if (std::exchange(closed_, true)) return;
  const auto self = shared_from_this();
  socket_->close();
  queue_grew_.cancel();
  beat_timer_.cancel();
  if (events_.closed) events_.closed(*this, why);
}

asio::awaitable<void> Session::receive_messages(std::shared_ptr<Session> self) {
  while (!self->closed_) {
    const auto text = co_await self->socket_->receive();
    if (self->closed_) co_return;
    if (!text) {
      self->close(text.error());
      co_return;
    }
    self->heard();
    self->take(*text);
  }
}

/// What cannot be read is answered and does no harm: it may come from a later version.
void Session::take(const std::string& text) {
  if (closed_) return;
  auto message = decode_message(text);
  if (message) {
    take(std::move(*message));
  } else {
    (void)send(Problem{"", message.error()});
  }
}

void Session::take(Message message) {
  const auto unknown = [this](std::string_view kind, const std::string& name) {
    (void)send(Problem{
        name, Error{Code::not_found, fmt::format("this version knows no {} '{}'", kind, shown(name)), ""}});
  };
  if (const auto* ping = std::get_if<Ping>(&message)) {
    if (queued_bytes_ <= kMaxQueueBytes) enqueue(encode_message(Pong{ping->sequence}), /*first=*/true);
  } else if (const auto* pong = std::get_if<Pong>(&message)) {
    act(heart_.on(Heartbeat::Pong{pong->sequence}, Clock::now()));
  } else if (const auto* payload = std::get_if<Payload>(&message)) {
    if (!events_.payload(*this, *payload)) unknown("payload", payload->name);
  } else if (const auto* dial = std::get_if<DialBack>(&message)) {
    events_.dial_back(*this, *dial);
  } else if (const auto* problem = std::get_if<Problem>(&message)) {
    events_.problem(*this, *problem);
  } else if (const auto* type = std::get_if<Unknown>(&message)) {
    unknown("message", type->type);
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    close(refused->error);
  } else {
    (void)send(Problem{"hello", Error{Code::invalid, "the hello is over", ""}});
  }
}

asio::awaitable<void> Session::send_queue(std::shared_ptr<Session> self) {
  while (!self->closed_) {
    if (self->queue_.empty()) {
      self->queue_grew_.expires_at(TimePoint::max());
      co_await self->queue_grew_.async_wait(kUseResult);
      continue;
    }
    std::string text = std::move(self->queue_.front());
    self->queue_.pop_front();
    self->queued_bytes_ -= text.size();
    const auto sent = co_await self->socket_->send(std::move(text));
    if (!sent) self->close(sent.error());
  }
}

asio::awaitable<void> Session::beat(std::shared_ptr<Session> self) {
  while (!self->closed_) {
    self->act(self->heart_.on(Heartbeat::Tick{}, Clock::now()));
    if (self->closed_) co_return;
    self->beat_timer_.expires_at(self->heart_.next_deadline());
    co_await self->beat_timer_.async_wait(kUseResult);
  }
}

void Session::act(const std::vector<Heartbeat::Action>& actions) {
  for (const Heartbeat::Action& action : actions) {
    if (closed_) return;
    if (const auto* ping = std::get_if<Heartbeat::SendPing>(&action)) {
      enqueue(encode_message(Ping{ping->sequence}), /*first=*/true);
      continue;
    }
    const Liveness now = std::get<Heartbeat::Change>(action).to;
    if (events_.liveness) events_.liveness(*this, now);
    if (now == Liveness::lost) {
      close(Error{Code::disconnected,
                  fmt::format("{} has been silent for {}", shown(theirs_.name),
                              format_duration(heart_.silence(Clock::now()))),
                  "is it switched on, in the network, and is Caravan running there?"});
    }
  }
}

}  // namespace caravan::link
