#include "fabric/module/streams.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "base/files.h"
#include "fabric/module/greeting.h"
#include "fabric/wire/proof.h"

namespace caravan::fabric {
namespace {

/// So much is written without waiting for a flush.
constexpr std::size_t kMuch = 2 * kMaxChunk;
/// After this part of the time-out, again and again, all workers that owe nothing are asked whether they
/// live.
constexpr int kPatience = 8;

}  // namespace

Result<std::unique_ptr<Streams>> Streams::open(Plan plan, const std::string& engine) {
  std::unique_ptr<Streams> all(new Streams(std::move(plan)));
  const auto random = fresh_nonce();
  if (!random) return random.error();
  std::memcpy(&all->session_, random.value().data(), sizeof(all->session_));
  const auto count = all->plan_.stages.size();
  all->stages_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (auto connected = all->connect(i, engine); !connected)
      return with_context(connected.error(),
                          fmt::format("stage {} ({}) failed", i, all->plan_.stages[i].name));
  }
  for (std::size_t i = 0; i < count; ++i) all->introduce(i);
  for (std::size_t i = 0; i < count; ++i)
    all->stages_[i]->reader = std::thread([streams = all.get(), i] { streams->read_answers(i); });
  return all;
}

Streams::~Streams() {
  for (auto& stage : stages_) {
    failed_ = true;  // what the readers see now is our own doing
    stage->socket.shut_down();
  }
  for (auto& stage : stages_) {
    if (stage->reader.joinable()) stage->reader.join();
  }
}

Result<void> Streams::connect(std::size_t stage, const std::string& engine) {
  const auto& planned = plan_.stages[stage];
  const auto deadline = Clock::now() + plan_.timeout;
  auto socket = Socket::connect(planned.address, deadline);
  if (!socket) return socket.error();
  auto welcome = greet(socket.value(), planned.key, engine, deadline);
  if (!welcome) return welcome.error();
  if (welcome->devices.empty()) return Error{Code::invalid, "it has no device", ""};
  stages_.push_back(std::make_unique<Connection>(std::move(*socket), std::move(welcome->devices.front())));
  return {};
}

void Streams::introduce(std::size_t stage) {
  const auto number = static_cast<std::uint32_t>(stage);
  say(stage, Open{number, 0, plan_.stages[stage].threads, session_});
  if (stage + 1 == stages_.size() || plan_.stages[stage + 1].peer.empty()) return;
  const auto& next = plan_.stages[stage + 1];
  say(stage, Peer{number + 1, next.key, next.peer});
}

void Streams::say_graph(std::size_t stage, const Graph& graph, const Graph* base) {
  const std::lock_guard lock(writing_);
  append_graph(stages_[stage]->out, graph, base);
  flush_if_much(stage);
}

std::uint32_t Streams::ask(std::size_t stage, const Region& region, char* to) {
  const std::lock_guard lock(writing_);
  auto& connection = *stages_[stage];
  const std::span<char> bytes(to, region.size);
  std::uint32_t request = 0;
  {
    const std::lock_guard state(reading_);
    if (failed_) {
      std::ranges::fill(bytes, '\0');
      return 0;
    }
    request = connection.inbox.expect(bytes);
    connection.debt.asked(Clock::now());
  }
  append_message(connection.out, Get{request, region});
  return request;
}

void Streams::flush_if_much(std::size_t stage) {
  if (stages_[stage]->out.size() >= kMuch) flush_locked();
}

bool Streams::flush() {
  const std::lock_guard lock(writing_);
  return flush_locked();
}

bool Streams::flush_locked() {
  std::vector<pollfd> waiting;
  std::vector<std::size_t> blocked;
  auto deadline = Clock::now() + plan_.timeout;
  while (!failed_) {
    waiting.clear();
    blocked.clear();
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      auto& out = stages_[i]->out;
      if (out.empty()) continue;
      const auto sent = stages_[i]->socket.write_some(out);
      if (!sent) {
        fail(i, sent.error().message);
        break;
      }
      if (sent.value() > 0) deadline = Clock::now() + plan_.timeout;
      out.erase(0, sent.value());
      if (out.empty()) continue;
      waiting.push_back({stages_[i]->socket.fd(), POLLOUT, 0});
      blocked.push_back(i);
    }
    if (failed_) break;
    if (waiting.empty()) return true;
    const int ready = poll(waiting.data(), static_cast<nfds_t>(waiting.size()), poll_time(deadline));
    if (ready == 0) fail(blocked.front(), fmt::format("it took no bytes for {} ms", plan_.timeout.count()));
    if (ready < 0 && errno != EINTR) fail(blocked.front(), errno_error("poll", errno).message);
  }
  for (auto& stage : stages_) stage->out.clear();
  return false;
}

bool Streams::wait(std::size_t stage, std::uint32_t request) {
  return wait_until([&] { return !stages_[stage]->inbox.waits_for(request); });
}

bool Streams::wait_for_reads(std::size_t stage) {
  {
    const std::lock_guard lock(reading_);
    if (!stages_[stage]->inbox.waits()) return !failed_;
  }
  return wait_until([&] { return !stages_[stage]->inbox.waits(); });
}

std::uint32_t Streams::ping(std::size_t stage) {
  std::uint32_t request = 0;
  {
    const std::lock_guard lock(reading_);
    request = stages_[stage]->inbox.expect_pong();
    stages_[stage]->debt.asked(Clock::now());
  }
  say(stage, Ping{request});
  return request;
}

bool Streams::settle(std::size_t stage) { return wait(stage, ping(stage)); }

bool Streams::wait_until(const std::function<bool()>& done) {
  if (!flush()) return false;
  std::unique_lock lock(reading_);
  const auto patience = plan_.timeout / kPatience;
  const auto began = Clock::now();
  auto ask_again = began + patience;
  for (auto& stage : stages_) stage->debt.waited_for(began);
  while (!failed_ && !done()) {
    const auto debts = debts_now();
    const auto now = Clock::now();
    if (const auto stuck = stuck_stage(debts, now, plan_.timeout)) {
      lock.unlock();
      fail(*stuck, fmt::format("no answer for {} ms", plan_.timeout.count()));
      return false;
    }
    if (now < ask_again) {
      news_.wait_until(lock, std::min(ask_again, next_deadline(debts, now, plan_.timeout)));
      continue;
    }
    ask_again = now + patience;
    lock.unlock();
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      if (!debts[i].owes) ping(i);
    }
    flush();
    lock.lock();
  }
  ++waits_;
  return !failed_;
}

std::vector<Debt> Streams::debts_now() const {
  std::vector<Debt> debts;
  debts.reserve(stages_.size());
  for (const auto& stage : stages_) debts.push_back(stage->debt);
  return debts;
}

void Streams::fail(std::size_t stage, const std::string& why) {
  auto line = fmt::format("caravan: stage {} ({}) failed: {}", stage, plan_.stages[stage].name, why);
  std::ranges::replace(line, '\n',
                       ' ');  // what a worker says may have several lines; whoever parses this wants one
  {
    const std::lock_guard lock(reading_);
    if (failed_) return;
    std::fputs((line + "\n").c_str(), stderr);
    failed_ = true;
    for (auto& one : stages_) {
      one->inbox.give_up();
      one->socket.shut_down();
    }
  }
  news_.notify_all();
}

void Streams::read_answers(std::size_t stage) {
  auto& connection = *stages_[stage];
  std::string header(kHeaderBytes, '\0');
  std::string payload;
  while (!failed_) {
    if (auto read = connection.socket.read_all(header, nullptr); !read)
      return fail(stage, read.error().message);
    const auto parsed = read_header(header, {Role::worker, true});
    if (!parsed) return fail(stage, parsed.error().message);
    payload.resize(parsed->payload_bytes);
    if (auto read = connection.socket.read_all(payload, nullptr); !read)
      return fail(stage, read.error().message);
    if (auto taken = take(stage, parsed->type, payload); !taken) return fail(stage, taken.error().message);
  }
}

Result<void> Streams::take(std::size_t stage, Type type, std::string_view payload) {
  auto& connection = *stages_[stage];
  Result<void> taken = malformed(type, "nobody expects it here");
  if (type == Type::error) return told_error(payload);
  if (type == Type::data) {
    const auto data = read_message<Data>(payload);
    if (!data) return data.error();
    const std::lock_guard lock(reading_);
    taken = connection.inbox.take(data.value());
    connection.debt.heard(connection.inbox.owes(), Clock::now());
  }
  if (type == Type::pong) {
    const auto pong = read_message<Pong>(payload);
    if (!pong) return pong.error();
    const std::lock_guard lock(reading_);
    taken = connection.inbox.take(pong.value());
    connection.debt.heard(connection.inbox.owes(), Clock::now());
  }
  news_.notify_all();
  return taken;
}

}  // namespace caravan::fabric
