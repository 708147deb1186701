#include "fabric/module/fake_worker.h"

#include <poll.h>

#include <algorithm>
#include <chrono>

#include "fabric/wire/messages.h"
#include "fabric/wire/weight_messages.h"

namespace caravan::fabric {
namespace {

constexpr Key kKey{1, 2, 3};

std::string reply(const auto& message) {
  std::string out;
  append_message(out, message);
  return out;
}

constexpr Milliseconds kPatience{10000};

}  // namespace

FakeWorker::FakeWorker() : listener_(std::move(Listener::open("127.0.0.1:0", Addresses::loopback).value())) {
  thread_ = std::thread([this] { serve(); });
}

FakeWorker::~FakeWorker() {
  shutdown(listener_.fd(), SHUT_RDWR);
  close_connection();
  thread_.join();
  if (beating_.joinable()) beating_.join();
}

Stage FakeWorker::stage(const std::string& name) const {
  Stage stage;
  stage.name = name;
  stage.address = listener_.address();
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

void FakeWorker::stand_still() {
  const std::lock_guard guard(lock_);
  stands_ = true;
}

void FakeWorker::close_connection() {
  const std::lock_guard guard(lock_);
  if (channel_ != nullptr) channel_->shut_down();
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

void FakeWorker::serve() {
  pollfd one{listener_.fd(), POLLIN, 0};
  poll(&one, 1, -1);
  auto connection = listener_.accept();
  if (!connection || connection->get() < 0) return;
  auto channel = Channel::adopt(std::move(*connection));
  if (!channel) return;
  {
    const std::lock_guard guard(lock_);
    channel_ = &channel.value();
  }
  FrameReader reader(*channel, {Role::master, false});
  const auto accepted = accept_greeting(*channel, reader, {kKey, kTestEngine});
  const Welcome offer{1, {{"CPU", "a fake", DeviceKind::cpu, 1000, 2000, 64, 1U << 20U}}};
  if (accepted && welcome(*channel, *accepted, offer)) {
    while (const auto frame = reader.next(nullptr)) {
      std::unique_lock guard(lock_);
      heard_.emplace_back(frame->type, frame->payload);
      news_.notify_all();
      const auto out = frozen_ ? std::string() : work(frame->type, frame->payload);
      if (!out.empty() && !channel->write_all(out, kPatience)) break;
    }
  }
  const std::lock_guard guard(lock_);
  channel_ = nullptr;
  news_.notify_all();
}

void FakeWorker::beat() {
  std::unique_lock guard(lock_);
  for (std::uint32_t count = 1; channel_ != nullptr && !frozen_; ++count) {
    const Progress progress{stands_ ? Doing::wait_command : Doing::compute, 0};
    if (!channel_->write_all(reply(Beat{count}) + reply(progress), kPatience)) return;
    beats_ = count;
    news_.notify_all();
    news_.wait_for(guard, pulse_, [this] { return channel_ == nullptr; });
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
