// A session: the control connection between two nodes, from the hello to its end. It sends and receives
// messages, beats, and knows how far away the other device is.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.h"
#include "base/units.h"
#include "link/heartbeat.h"
#include "link/message_socket.h"
#include "link/messages.h"

namespace caravan::link {

class Session;

/// What a session tells its owner. Called on the loop, never after `closed`, which comes once.
struct SessionEvents {
  /// False when nobody knows a payload of that name: the other side is told so.
  std::function<bool(Session&, const Payload&)> payload;
  std::function<void(Session&, const DialBack&)> dial_back;
  /// About a token that we have sent, or about something of ours that the other side could not serve.
  std::function<void(Session&, const Problem&)> problem;
  std::function<void(Session&, Liveness)> liveness;
  std::function<void(Session&, const Error&)> closed;
};

/// Held by shared_ptr; lives until it is closed and nobody holds it. One loop of one thread; nothing blocks.
class Session : public std::enable_shared_from_this<Session> {
 public:
  /// Says hello and waits for the welcome. Code::incompatible with the reason when the hellos do not fit.
  static asio::awaitable<Result<std::shared_ptr<Session>>> greet(std::unique_ptr<MessageSocket> socket,
                                                                 Hello mine);
  /// Waits for the hello and answers it, with a welcome or with the reason why not.
  static asio::awaitable<Result<std::shared_ptr<Session>>> welcome(std::unique_ptr<MessageSocket> socket,
                                                                   Hello mine);
  Session(std::unique_ptr<MessageSocket> socket, Hello theirs, bool dialled);  ///< for greet and welcome
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Begins to receive and to beat.
  void start(SessionEvents events, HeartbeatTimes times);

  const std::string& peer() const { return theirs_.device; }  ///< device id, proved by TLS
  const PublicKey& key() const { return socket_->connection().peer_key(); }
  const Hello& hello() const { return theirs_; }
  bool dialled() const { return dialled_; }  ///< by this node
  std::string address() const;

  /// Queues a payload; keeps the order. Code::exhausted when it is too long or the other side does not take
  /// what is queued already, Code::disconnected after the end.
  Result<void> send(std::string name, Json body);
  Result<void> send(const Message& message);

  Liveness liveness() const { return heart_.liveness(); }
  std::optional<RoundTrip> round_trip() const { return heart_.round_trip(); }
  Clock::duration silence() const { return heart_.silence(Clock::now()); }
  /// Something of this device arrived elsewhere, through a tunnel.
  void heard();

  bool open() const { return !closed_; }
  /// At once; `closed` is told `why` before this returns.
  void close(const Error& why);

 private:
  static asio::awaitable<void> receive_messages(std::shared_ptr<Session> self);
  static asio::awaitable<void> send_queue(std::shared_ptr<Session> self);
  static asio::awaitable<void> beat(std::shared_ptr<Session> self);
  void take(const std::string& text);
  void take(Message message);
  void act(const std::vector<Heartbeat::Action>& actions);
  void enqueue(std::string text, bool first);

  std::unique_ptr<MessageSocket> socket_;
  Hello theirs_;
  bool dialled_;
  bool closed_ = false;
  SessionEvents events_;
  Heartbeat heart_;
  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;
  asio::steady_timer queue_grew_;
  asio::steady_timer beat_timer_;
};

}  // namespace caravan::link
