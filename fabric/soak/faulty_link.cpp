#include "fabric/soak/faulty_link.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace caravan::fabric::soak {
namespace {

constexpr int kLook = 20;  // milliseconds
constexpr Milliseconds kPatience{60000};
constexpr std::size_t kAtOnce = std::size_t{64} << 10U;

Listener listen_somewhere() {
  auto opened = Listener::open("127.0.0.1:0", Addresses::loopback);
  if (!opened) throw std::runtime_error(opened.error().message);
  return std::move(*opened);
}

}  // namespace

const char* name_of(Kind kind) {
  constexpr const char* kNames[] = {"none", "cut", "freeze", "flip", "drop", "twice", "stray", "delay"};
  return kNames[static_cast<std::size_t>(kind)];
}

FaultyLink::FaultyLink(std::string target) : target_(std::move(target)), listener_(listen_somewhere()) {
  accepting_ = std::thread([this] { accept_all(); });
}

FaultyLink::~FaultyLink() {
  stopping_ = true;
  accepting_.join();
  end_all();
}

void FaultyLink::arm(Fault fault) {
  const std::scoped_lock lock(mutex_);
  fault_ = fault;
  carried_[0] = carried_[1] = 0;
  struck_ = false;
  frozen_ = false;
}

std::uint64_t FaultyLink::carried(bool there) const {
  const std::scoped_lock lock(mutex_);
  return carried_[there ? 1 : 0];
}

void FaultyLink::end_all() {
  std::list<Connection> ending;
  {
    const std::scoped_lock lock(mutex_);
    frozen_ = false;
    ending.swap(connections_);
    changed_.notify_all();
  }
  for (Connection& one : ending) {
    one.near->shut_down();
    one.far->shut_down();
  }
  for (Connection& one : ending) {
    one.to.join();
    one.back.join();
  }
}

void FaultyLink::accept_all() {
  while (!stopping_) {
    pollfd one{listener_.fd(), POLLIN, 0};
    if (poll(&one, 1, kLook) <= 0) continue;
    auto accepted = listener_.accept();
    if (!accepted || accepted->get() < 0) continue;
    auto near = Channel::adopt(std::move(*accepted));
    auto far = Channel::connect(target_, Addresses::loopback, Clock::now() + kPatience);
    if (!near || !far) continue;
    const std::scoped_lock lock(mutex_);
    Connection& made = connections_.emplace_back();
    made.near = std::make_unique<Channel>(std::move(*near));
    made.far = std::make_unique<Channel>(std::move(*far));
    made.to = std::thread([this, &made] { carry(*made.near, *made.far, made, true); });
    made.back = std::thread([this, &made] { carry(*made.far, *made.near, made, false); });
  }
}

/// Changes `bytes` at `at` as the fault says; false when the connection is cut there.
bool FaultyLink::strike(std::string& bytes, std::size_t at, Connection& connection) {
  struck_ = true;
  const std::size_t length = std::min({fault_.length, bytes.size() - at, kMostLength});
  switch (fault_.kind) {
    case Kind::none:
      break;
    case Kind::cut:
      bytes.resize(at);
      connection.near->shut_down();
      connection.far->shut_down();
      return false;
    case Kind::freeze:
      frozen_ = true;
      break;
    case Kind::flip:
      bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1U << (fault_.length % 8)));
      break;
    case Kind::drop:
      bytes.erase(at, length);
      break;
    case Kind::twice:
      bytes.insert(at, bytes.substr(at, length));
      break;
    case Kind::stray:
      for (std::size_t i = 0; i < length; ++i)
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<char>(fault_.at * 31 + i));
      break;
    case Kind::delay:
      break;
  }
  return true;
}

void FaultyLink::carry(Channel& from, Channel& to, Connection& connection, bool there) {
  std::string bytes;
  while (true) {
    bytes.resize(kAtOnce);
    const auto got = from.read_some(bytes.data(), bytes.size(), nullptr);
    if (!got) break;
    bytes.resize(*got);
    bool goes_on = true;
    bool waits = false;
    {
      std::unique_lock lock(mutex_);
      std::uint64_t& carried = carried_[there ? 1 : 0];
      const bool hit = fault_.kind != Kind::none && !struck_ && fault_.there == there &&
                       fault_.at >= carried && fault_.at < carried + bytes.size();
      const auto at = static_cast<std::size_t>(fault_.at - carried);
      carried += bytes.size();
      if (hit) goes_on = strike(bytes, at, connection);
      waits = hit && fault_.kind == Kind::delay;
      // Whoever is frozen is let go by end_all() only, which then ends it.
      changed_.wait(lock, [this] { return !frozen_; });
    }
    if (waits) std::this_thread::sleep_for(std::chrono::milliseconds(fault_.length));
    if (!to.write_all(bytes, kPatience) || !goes_on) break;
  }
  to.finish_writing();
}

}  // namespace caravan::fabric::soak
