#include "fabric/module/streams.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/files.h"
#include "fabric/net/greeting.h"

namespace caravan::fabric {
namespace {

/// So much is written without waiting for a flush.
constexpr std::size_t kMuch = 2 * kMaxChunk;
/// Workers beat so many times in the plan's time-out.
constexpr int kBeats = 8;
/// Longer than any computing between two answers: a worker that beats but does not answer is broken.
constexpr auto kLongestAnswer = std::chrono::minutes(10);

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
    stage->channel.shut_down();
  }
  for (auto& stage : stages_) {
    if (stage->reader.joinable()) stage->reader.join();
  }
}

Result<void> Streams::connect(std::size_t stage, const std::string& engine) {
  const auto& planned = plan_.stages[stage];
  const auto deadline = Clock::now() + plan_.timeout;
  // Where there are no tunnels, as in the lab, it may be anywhere.
  auto channel = Channel::connect(planned.address, Addresses::any, deadline);
  if (!channel) return channel.error();
  auto connection = std::make_unique<Connection>(std::move(*channel));
  Hello hello;
  hello.role = Role::master;
  auto welcome = greet(connection->channel, connection->answers, {planned.key, engine}, hello, deadline);
  if (!welcome) return welcome.error();
  if (welcome->devices.empty()) return Error{Code::invalid, "it has no device", ""};
  connection->device = std::move(welcome->devices.front());
  stages_.push_back(std::move(connection));
  return {};
}

void Streams::introduce(std::size_t stage) {
  const auto number = static_cast<std::uint32_t>(stage);
  say(stage, Open{number, 0, plan_.stages[stage].threads, session_});
  const auto interval = std::clamp<std::int64_t>(plan_.timeout.count() / kBeats, kLeastPulse, kMostPulse);
  say(stage, Pulse{static_cast<std::uint32_t>(interval)});
  for (std::uint32_t to = 0; to < plan_.stages.size(); ++to) {
    const auto& way = plan_.way(stage, to);
    if (!way.empty()) say(stage, Peer{to, plan_.stages[to].key, way});
  }
}

void Streams::say_graph(std::size_t stage, const Graph& graph, const Graph* base) {
  const std::lock_guard lock(writing_);
  append_graph(stages_[stage]->out.bytes, graph, base);
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
  }
  append_message(connection.out.bytes, Get{request, region});
  return request;
}

void Streams::flush_if_much(std::size_t stage) {
  if (stages_[stage]->out.bytes.size() >= kMuch) flush_locked();
}

bool Streams::flush() {
  const std::lock_guard lock(writing_);
  return flush_locked();
}

bool Streams::flush_locked() {
  std::vector<pollfd> full;
  auto began = Clock::now();
  while (!failed_) {
    full.clear();
    for (std::size_t i = 0; i < stages_.size() && !failed_; ++i) {
      auto& [out, sealed, written] = stages_[i]->out;
      if (out.empty()) continue;
      stages_[i]->channel.seal(out, sealed);
      sealed = out.size();
      const auto sent = stages_[i]->channel.write_some(std::string_view(out).substr(written));
      if (!sent) {
        fail(i, sent.error().message);
        break;
      }
      if (sent.value() > 0) began = Clock::now();
      written += sent.value();
      if (written < out.size())
        full.push_back({stages_[i]->channel.fd(), POLLOUT, 0});
      else
        stages_[i]->out.clear();
    }
    if (failed_) break;
    if (full.empty()) return true;
    const auto look = next_look(began);
    poll(full.data(), static_cast<nfds_t>(full.size()), poll_time(&look));
    if (const auto silent = who_is_silent(began)) {
      fail(*silent, no_sign_of_life());
    } else if (nothing_moves(began)) {
      const auto first =
          std::ranges::find_if(stages_, [](const auto& one) { return !one->out.bytes.empty(); });
      fail(static_cast<std::size_t>(first - stages_.begin()), "it takes nothing any more");
    }
  }
  for (auto& stage : stages_) stage->out.clear();
  return false;
}

bool Streams::wait(std::size_t stage, std::uint32_t request) {
  return wait_until(stage, [&] { return !stages_[stage]->inbox.waits_for(request); });
}

bool Streams::wait_for_reads(std::size_t stage) {
  {
    const std::lock_guard lock(reading_);
    if (!stages_[stage]->inbox.waits()) return !failed_;
  }
  return wait_until(stage, [&] { return !stages_[stage]->inbox.waits(); });
}

std::uint32_t Streams::expect_other(std::size_t stage) {
  const std::lock_guard lock(reading_);
  return stages_[stage]->inbox.expect_other();
}

bool Streams::settle(std::size_t stage) {
  const auto request = expect_other(stage);
  say(stage, Ping{request});
  return wait(stage, request);
}

std::uint32_t Streams::ask_missing(std::size_t stage) {
  const auto request = expect_other(stage);
  say(stage, WeightsEnd{request});
  return request;
}

std::vector<MissingWeight> Streams::take_missing(std::size_t stage) {
  const std::lock_guard lock(reading_);
  return stages_[stage]->inbox.missing();
}

void Streams::ask_timeline(std::size_t stage, StatsAction action) {
  say(stage, Stats{expect_other(stage), action});
}

std::vector<Streams::ToldTimeline> Streams::take_timelines(std::size_t stage) {
  const std::lock_guard lock(reading_);
  return std::exchange(stages_[stage]->timelines, {});
}

Result<void> Streams::take_timeline(std::size_t stage, std::string_view payload) {
  auto timeline = read_message<Timeline>(payload);
  if (!timeline) return timeline.error();
  const auto now = Clock::now();
  const std::lock_guard lock(reading_);
  if (auto taken = stages_[stage]->inbox.take(*timeline); !taken) return taken;
  stages_[stage]->timelines.push_back({std::move(*timeline), now});
  return {};
}

bool Streams::wait_until(std::size_t stage, const std::function<bool()>& done) {
  if (!flush()) return false;
  const auto began = Clock::now();
  std::unique_lock lock(reading_);
  while (!failed_ && !done()) {
    lock.unlock();
    const auto look = std::min(next_look(began), began + kLongestAnswer);
    if (const auto silent = who_is_silent(began))
      fail(*silent, no_sign_of_life());
    else if (nothing_moves(began))
      fail(stage, "it was asked, lives, and waits for what does not come");
    else if (Clock::now() >= began + kLongestAnswer)
      fail(stage, "it lives, but does not answer");
    lock.lock();
    if (!failed_ && !done()) news_.wait_until(lock, look);
  }
  if (trace_.on()) trace_.waited(stage, began, Clock::now());
  return !failed_;
}

std::vector<Moment> Streams::heard() {
  const std::lock_guard lock(reading_);
  std::vector<Moment> all;
  all.reserve(stages_.size());
  for (const auto& stage : stages_) all.push_back(stage->heard);
  return all;
}

std::optional<std::size_t> Streams::who_is_silent(Moment began) {
  return silent_stage(heard(), began, Clock::now(), plan_.timeout);
}

bool Streams::nothing_moves(Moment began) {
  const std::lock_guard lock(reading_);
  std::vector<Moment> all;
  all.reserve(stages_.size());
  for (const auto& stage : stages_) all.push_back(stage->moved);
  return stand_still(all, began, Clock::now(), plan_.timeout);
}

/// Not later than a beat: whether something moves is seen by what comes with each.
Moment Streams::next_look(Moment began) {
  const auto beat = Clock::now() + plan_.timeout / kBeats;
  return std::min<Moment>(next_deadline(heard(), began, plan_.timeout), beat);
}

std::string Streams::no_sign_of_life() const {
  return fmt::format("no sign of life for {} ms", plan_.timeout.count());
}

void Streams::fail(std::size_t stage, const std::string& why) {
  auto line = fmt::format("caravan: stage {} ({}) failed: {}", stage, plan_.stages[stage].name, why);
  std::ranges::replace(line, '\n',
                       ' ');  // what a worker says may have several lines; whoever parses this wants one
  {
    const std::lock_guard lock(reading_);
    if (failed_) return;
    std::fputs((line + "\n").c_str(), stderr);
    for (auto& one : stages_) {
      one->inbox.give_up();
      one->channel.shut_down();
    }
    failed_ = true;  // last: who sees it without the lock may take its memory back
  }
  news_.notify_all();
}

void Streams::read_answers(std::size_t stage) {
  auto& answers = stages_[stage]->answers;
  Frame frame;
  while (!failed_) {
    if (auto read = answers.next(frame, nullptr); !read) return fail(stage, read.error().message);
    if (auto taken = take(stage, frame.type, frame.payload); !taken)
      return fail(stage, taken.error().message);
  }
}

Result<void> Streams::take_progress(std::size_t stage, std::string_view payload) {
  const auto progress = read_message<Progress>(payload);
  if (!progress) return progress.error();
  const std::lock_guard lock(reading_);
  auto& connection = *stages_[stage];
  const bool works = progress->doing == Doing::compute || progress->doing == Doing::load;
  if (works || connection.progress != *progress) connection.moved = Clock::now();
  connection.progress = *progress;
  return {};
}

template <typename M>
Result<void> Streams::take_in(std::size_t stage, std::string_view payload) {
  const auto message = read_message<M>(payload);
  if (!message) return message.error();
  const std::lock_guard lock(reading_);
  return stages_[stage]->inbox.take(message.value());
}

Result<void> Streams::take(std::size_t stage, Type type, std::string_view payload) {
  Result<void> taken = malformed(type, "nobody expects it here");
  if (type == Type::error) {
    const auto told = read_message<ErrorMessage>(payload);
    // It may be another stage's: of one that did not hand over.
    if (told && told->stage < stages_.size()) fail(told->stage, told_error(payload).message);
    return told_error(payload);
  }
  {
    const std::lock_guard lock(reading_);
    stages_[stage]->heard = Clock::now();
    if (type != Type::beat && type != Type::progress) stages_[stage]->moved = Clock::now();
  }
  if (type == Type::beat) {
    const auto beat = read_message<Beat>(payload);
    return beat ? Result<void>() : beat.error();
  }
  if (type == Type::progress) return take_progress(stage, payload);
  if (type == Type::data) taken = take_in<Data>(stage, payload);
  if (type == Type::pong) taken = take_in<Pong>(stage, payload);
  if (type == Type::missing) taken = take_in<Missing>(stage, payload);
  if (type == Type::timeline) taken = take_timeline(stage, payload);
  news_.notify_all();
  return taken;
}

}  // namespace caravan::fabric
