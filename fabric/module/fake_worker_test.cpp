#include "fabric/module/fake_worker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "fabric/wire/messages.h"
#include "fabric/wire/proof.h"

namespace caravan::fabric {
namespace {

constexpr Key kKey{1, 2, 3};

std::string reply(const auto& message) {
  std::string out;
  append_message(out, message);
  return out;
}

/// The payload of the next frame, empty at the end of the connection; `type` is what it is.
std::string next(Socket& socket, Type& type, bool proved) {
  std::string header(kHeaderBytes, '\0');
  if (!socket.read_all(header, nullptr)) return {};
  const auto parsed = read_header(header, {Role::master, proved});
  if (!parsed) return {};
  type = parsed->type;
  std::string payload(parsed->payload_bytes, '\0');
  if (!socket.read_all(payload, nullptr)) type = Type::error;
  return payload;
}

}  // namespace

FakeWorker::FakeWorker() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 1) != 0 ||
      getsockname(listener_, generic, &size) != 0)
    std::abort();
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

FakeWorker::~FakeWorker() {
  shutdown(listener_, SHUT_RDWR);
  close_connection();
  thread_.join();
  if (beating_.joinable()) beating_.join();
  close(listener_);
}

Stage FakeWorker::stage(const std::string& name) const {
  Stage stage;
  stage.name = name;
  stage.address = {"127.0.0.1", port_};
  stage.key = kKey;
  return stage;
}

void FakeWorker::answer(Type type, Answer answer) {
  const std::lock_guard guard(lock_);
  answers_[type] = std::move(answer);
}

void FakeWorker::freeze() {
  const std::lock_guard guard(lock_);
  frozen_ = true;
}

void FakeWorker::close_connection() {
  const std::lock_guard guard(lock_);
  if (socket_ != nullptr) socket_->shut_down();
}

std::vector<Type> FakeWorker::heard() {
  const std::lock_guard guard(lock_);
  std::vector<Type> types;
  types.reserve(heard_.size());
  for (const auto& [type, payload] : heard_) types.push_back(type);
  return types;
}

std::vector<std::string> FakeWorker::payloads(Type type) {
  const std::lock_guard guard(lock_);
  std::vector<std::string> found;
  for (const auto& [one, payload] : heard_) {
    if (one == type) found.push_back(payload);
  }
  return found;
}

bool FakeWorker::wait_for(Type type, std::size_t times) {
  std::unique_lock guard(lock_);
  return news_.wait_for(guard, std::chrono::seconds(10), [&] {
    return std::ranges::count(heard_, type, &std::pair<Type, std::string>::first) >= static_cast<long>(times);
  });
}

bool FakeWorker::wait_for_beats(std::uint32_t times) {
  std::unique_lock guard(lock_);
  return news_.wait_for(guard, std::chrono::seconds(10), [&] { return beats_ >= times; });
}

std::string FakeWorker::memory(std::uint32_t buffer) {
  const std::lock_guard guard(lock_);
  return memory_[buffer];
}

bool FakeWorker::greet(Socket& socket) {
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  Type type = Type::error;
  const auto theirs = next(socket, type, false);
  Hello mine;
  mine.engine = kTestEngine;
  const auto hello = reply(mine);
  if (type != Type::hello || !socket.write_all(hello, deadline)) return false;
  const auto my_payload = hello.substr(kHeaderBytes);
  const auto proof = read_message<Proof>(next(socket, type, false));
  if (!proof || !same(proof->mac, proof_of(kKey, Side::connecting, theirs, my_payload))) {
    const auto no = reply(to_message({Code::invalid, "wrong key", ""}, 0, 0));
    return socket.write_all(no, deadline).ok() && false;
  }
  const Welcome welcome{1, {{"CPU", "a fake", DeviceKind::cpu, 1000, 2000, 64, 1U << 20U}}};
  return socket
      .write_all(reply(Proof{proof_of(kKey, Side::accepting, theirs, my_payload)}) + reply(welcome), deadline)
      .ok();
}

void FakeWorker::serve() {
  const int fd = accept(listener_, nullptr, nullptr);
  if (fd < 0) return;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  auto socket = Socket::adopt(fd);
  {
    const std::lock_guard guard(lock_);
    socket_ = &socket;
  }
  if (greet(socket)) {
    while (true) {
      Type type = Type::error;
      const auto payload = next(socket, type, true);
      if (type == Type::error) break;
      std::unique_lock guard(lock_);
      heard_.emplace_back(type, payload);
      news_.notify_all();
      const auto out = frozen_ ? std::string() : work(type, payload);
      if (!out.empty() && !socket.write_all(out, Clock::now() + std::chrono::seconds(10))) break;
    }
  }
  const std::lock_guard guard(lock_);
  socket_ = nullptr;
  news_.notify_all();
}

void FakeWorker::beat() {
  std::unique_lock guard(lock_);
  for (std::uint32_t count = 1; socket_ != nullptr && !frozen_; ++count) {
    if (!socket_->write_all(reply(Beat{count}), Clock::now() + std::chrono::seconds(10))) return;
    beats_ = count;
    news_.notify_all();
    news_.wait_for(guard, pulse_, [this] { return socket_ == nullptr; });
  }
}

std::string FakeWorker::work(Type type, std::string_view payload) {
  if (const auto found = answers_.find(type); found != answers_.end()) return found->second(payload);
  if (type == Type::pulse) {
    pulse_ = std::chrono::milliseconds(read_message<Pulse>(payload)->interval_ms);
    beating_ = std::thread([this] { beat(); });
  }
  if (type == Type::ping) return reply(Pong{read_message<Ping>(payload)->request, 1, 2});
  if (type == Type::alloc) {
    const auto alloc = read_message<Alloc>(payload);
    memory_[alloc->buffer].assign(alloc->size, '\0');
  } else if (type == Type::set) {
    const auto set = read_message<Set>(payload);
    memory_[set->buffer].replace(set->offset, set->data.size(), set->data);
  } else if (type == Type::fill) {
    const auto fill = read_message<Fill>(payload);
    memory_[fill->region.buffer].replace(fill->region.offset, fill->region.size, fill->region.size,
                                         static_cast<char>(fill->value));
  } else if (type == Type::get) {
    const auto get = read_message<Get>(payload);
    const auto bytes = memory_[get->region.buffer].substr(get->region.offset, get->region.size);
    return reply(Data{get->request, 0, bytes});
  }
  return {};
}

}  // namespace caravan::fabric
