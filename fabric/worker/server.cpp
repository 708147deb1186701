#include "fabric/worker/server.h"

#include <poll.h>

#include <new>
#include <system_error>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::fabric::worker {
namespace {

/// Connections at a time: one master, a few peers, and whoever is being greeted.
constexpr std::size_t kMaxGuests = 64;
/// How long a new master waits for the end of one that is gone.
constexpr Milliseconds kHandOver{10000};
/// How long it waits for the end of one that may be gone.
constexpr Milliseconds kGrace{500};
constexpr Milliseconds kLookAgain{10};
/// How often a listening thread looks whether it should end.
constexpr int kPollMilliseconds = 200;

}  // namespace

Server::Server(Identity own, WorkerSettings settings, WeightSource& weights, Log log)
    : own_(std::move(own)), settings_(settings), weights_(weights), log_(std::move(log)) {}

Server::~Server() { stop(); }

void Server::after_each_master(std::function<void()> does) { after_master_ = std::move(does); }

void Server::say(const std::string& line) {
  const std::scoped_lock lock(log_mutex_);
  if (log_) log_(line);
}

bool Server::busy() const {
  const std::scoped_lock lock(mutex_);
  return claimed_;
}

void Server::serve(Listener listener) {
  const std::scoped_lock lock(mutex_);
  listeners_.emplace_back(
      [this, own = std::make_shared<Listener>(std::move(listener))] { accept_all(*own); });
}

void Server::accept_all(Listener& listener) {
  while (!stopping_) {
    pollfd one{listener.fd(), POLLIN, 0};
    if (poll(&one, 1, kPollMilliseconds) <= 0) continue;
    auto connection = listener.accept();
    if (!connection) return say(connection.error().message);
    if (connection->get() >= 0) serve(std::move(*connection));
    // Without descriptors accepting fails at once, again and again.
    if (connection->get() < 0 && !stopping_) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void Server::sweep() {
  for (auto guest = guests_.begin(); guest != guests_.end();) {
    if (!guest->over) {
      ++guest;
      continue;
    }
    guest->thread.join();
    guest = guests_.erase(guest);
  }
}

void Server::serve(Descriptor connection) {
  auto channel = Channel::adopt(std::move(connection));
  if (!channel) return;
  const std::scoped_lock lock(mutex_);
  sweep();
  if (stopping_ || guests_.size() >= kMaxGuests) return;
  Guest& guest = guests_.emplace_back();
  guest.channel = std::make_unique<Channel>(std::move(*channel));
  try {
    guest.thread = std::thread([this, &guest] { attend(guest); });
  } catch (const std::system_error& error) {
    guests_.pop_back();
    say(std::string("no thread for a connection: ") + error.what());
  }
}

void Server::attend(Guest& guest) {
  try {
    receive(*guest.channel, guest);
  } catch (const std::bad_alloc&) {
    say("a connection was closed: no memory left");
  }
  guest.channel->shut_down();
  guest.over = true;
}

void Server::receive(Channel& channel, Guest& guest) {
  FrameReader reader(channel, {Role::master, false});
  const auto accepted = accept_greeting(channel, reader, own_);
  if (!accepted) return say(fmt::format("refused: {}", printable(accepted.error().message)));
  if (accepted->hello.role == Role::peer) return serve_peer(channel, reader, *accepted, guest);
  serve_master(channel, reader, *accepted);
}

bool Server::claim() {
  const SteadyTime begin = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (claimed_ && !stopping_) {
    // A master that has just gone is waited for, and it may take a moment until it is seen to be gone.
    const bool ending = session_ == nullptr || session_->ending();
    if (std::chrono::steady_clock::now() - begin > (ending ? kHandOver : kGrace)) return false;
    changed_.wait_for(lock, kLookAgain);
  }
  if (stopping_) return false;
  claimed_ = true;
  return true;
}

void Server::release() {
  const std::scoped_lock lock(mutex_);
  claimed_ = false;
  changed_.notify_all();
}

void Server::end_peers() {
  const std::scoped_lock lock(mutex_);
  for (const Guest& guest : guests_) {
    if (guest.peer) guest.channel->shut_down();
  }
}

void Server::serve_master(Channel& channel, FrameReader& reader, const Accepted& accepted) {
  if (!claim()) {
    const Error busy{Code::unavailable, "this worker serves another master",
                     "end the other one, or start a second worker"};
    say(fmt::format("refused: {}", busy.message));
    return tell(channel, busy, 0, 0);
  }
  say("a master is there");
  Error why;
  if (const auto sent = welcome(channel, accepted, {settings_.threads, list_devices(settings_.memory_limit)});
      !sent) {
    why = sent.error();
  } else {
    Session session(channel, reader, settings_, mailbox_, weights_);
    {
      const std::scoped_lock lock(mutex_);
      session_ = &session;
      if (stopping_) session.stop();
    }
    why = session.run();
    const std::scoped_lock lock(mutex_);
    session_ = nullptr;
  }
  end_peers();
  if (after_master_) after_master_();
  say(fmt::format("the master is gone: {}", printable(why.message)));
  release();
}

void Server::serve_peer(Channel& channel, FrameReader& reader, const Accepted& accepted, Guest& guest) {
  {
    const std::scoped_lock lock(mutex_);
    guest.peer = true;
  }
  if (!welcome(channel, accepted, {settings_.threads, {}})) return;
  Inlet inlet(channel, reader, [&](const Frame& frame) {
    return HandOffs::read(frame.type, frame.payload, [&](const HandOff& chunk) {
      return mailbox_.put({accepted.hello.session, accepted.hello.stage, chunk.tag}, chunk);
    });
  });
  mailbox_.attach(accepted.hello.session, accepted.hello.stage, inlet);
  const auto why = inlet.serve();
  mailbox_.detach(inlet);
  mailbox_.lose(accepted.hello.session, accepted.hello.stage);
  if (why.code == Code::disconnected) return;
  say(fmt::format("stage {} is not listened to any more: {}", accepted.hello.stage, printable(why.message)));
  tell(channel, why, 0, static_cast<std::uint16_t>(Type::hand_off));
}

void Server::stop() {
  std::vector<std::thread> listeners;
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    if (session_ != nullptr) session_->stop();
    for (const Guest& guest : guests_) guest.channel->shut_down();
    listeners.swap(listeners_);
  }
  mailbox_.close();
  for (std::thread& each : listeners) each.join();
  // Nobody adds guests any more.
  for (Guest& guest : guests_) guest.thread.join();
  guests_.clear();
}

}  // namespace caravan::fabric::worker
