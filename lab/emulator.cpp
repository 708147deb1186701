#include "lab/emulator.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "lab/route.h"

namespace caravan::lab {

using namespace std::chrono_literals;

namespace {

constexpr int kBatch = 64;  // packets read from one station before the others get their turn
constexpr std::chrono::nanoseconds kTurn = 80us;  // under load the timer fires at most this often
constexpr std::size_t kMaxConnections = 16;
constexpr std::size_t kMaxLine = 1024;

Error failed(std::string_view what) {
  return {Code::unavailable, fmt::format("{}: {}", what, std::generic_category().message(errno)), ""};
}

timespec timespec_of(TimePoint time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  return {.tv_sec = seconds.count(), .tv_nsec = (time.time_since_epoch() - seconds).count()};
}

double processor_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

double microseconds(std::chrono::nanoseconds span) { return static_cast<double>(span.count()) * 1e-3; }

}  // namespace

Emulator::Emulator(std::vector<Descriptor> tuns, Descriptor control, Medium medium)
    : tuns_(std::move(tuns)),
      control_(std::move(control)),
      medium_(std::move(medium)),
      began_(Clock::now()) {}

Result<Ended> Emulator::run() {
  if (auto ready = set_up(); !ready) return ready.error();
  std::array<epoll_event, 32> events{};
  while (!stopped_ && !orphaned_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (count < 0 && errno != EINTR) return failed("epoll_wait");
    ++counters_.turns;
    woken_ = Clock::now();
    for (int i = 0; i < count; ++i) handle(events[static_cast<std::size_t>(i)].data.fd);
    deliver_due();
    arm_timer();
  }
  return stopped_ ? Ended::stopped : Ended::orphaned;
}

Result<void> Emulator::set_up() {
  epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  timer_ = Descriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));  // steady_clock's clock
  if (epoll_.get() < 0 || timer_.get() < 0) return failed("cannot make an epoll or a timer");
  std::vector<int> all{timer_.get(), control_.get(), STDIN_FILENO};
  for (const Descriptor& tun : tuns_) all.push_back(tun.get());
  for (const int fd : all) {
    if (auto watched = watch(fd); !watched) return watched;
  }
  return {};
}

Result<void> Emulator::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return failed(fmt::format("cannot wait for descriptor {}", fd));
}

void Emulator::handle(int fd) {
  if (fd == timer_.get()) {
    std::uint64_t expirations = 0;
    (void)!::read(fd, &expirations, sizeof(expirations));
  } else if (fd == control_.get()) {
    accept_control();
  } else if (fd == STDIN_FILENO) {
    orphaned_ = ::read(fd, buffer_.data(), buffer_.size()) == 0;
  } else {
    const auto tun =
        std::find_if(tuns_.begin(), tuns_.end(), [fd](const Descriptor& d) { return d.get() == fd; });
    if (tun == tuns_.end()) return answer_control(fd);
    read_packets(static_cast<std::size_t>(tun - tuns_.begin()));
  }
}

void Emulator::read_packets(std::size_t station) {
  const int fd = tuns_[station].get();
  for (int i = 0; i < kBatch; ++i) {
    const ssize_t bytes = ::read(fd, buffer_.data(), buffer_.size());
    if (bytes > 0) {
      take(station, static_cast<std::size_t>(bytes), woken_);
      continue;
    }
    // The namespace was deleted: waiting for its device on would only spin.
    if (bytes < 0 && errno != EAGAIN && errno != EINTR) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    return;
  }
}

/// The packet in `buffer_` was sent by `from`.
void Emulator::take(std::size_t from, std::size_t bytes, TimePoint now) {
  const std::span<const std::byte> packet = std::span(buffer_).first(bytes);
  const std::vector<std::size_t> targets = route(packet, from, tuns_.size());
  if (targets.empty()) ++counters_.unroutable;
  for (const std::size_t to : targets) {
    if (free_ids_.empty()) {
      free_ids_.push_back(static_cast<std::uint32_t>(contents_.size()));
      contents_.emplace_back();
    }
    const std::uint32_t id = free_ids_.back();
    free_ids_.pop_back();
    contents_[id].assign(packet.begin(), packet.end());
    medium_.send({.id = id, .from = from, .to = to, .bytes = bytes}, now);
  }
}

void Emulator::deliver_due() {
  const TimePoint now = Clock::now();
  for (const Outcome& outcome : medium_.advance(now)) settle_outcome(outcome, now);
}

void Emulator::settle_outcome(const Outcome& outcome, TimePoint now) {
  const std::vector<std::byte>& content = contents_[outcome.packet.id];
  switch (outcome.fate) {
    case Fate::delivered:
      if (::write(tuns_[outcome.packet.to].get(), content.data(), content.size()) < 0) ++counters_.refused;
      ++counters_.delivered;
      counters_.delivered_bytes += content.size();
      counters_.late += now - outcome.at;
      counters_.latest = std::max(counters_.latest, now - outcome.at);
      if (now - outcome.at > 1ms) ++counters_.very_late;
      break;
    case Fate::lost:
      ++counters_.lost;
      break;
    case Fate::queue_full:
      ++counters_.queue_full;
      break;
    case Fate::vanished:
      ++counters_.vanished;
      break;
  }
  free_ids_.push_back(outcome.packet.id);
}

/// Not sooner than kTurn after this turn began: that costs nothing but a little lateness of what is
/// delivered, since the medium counts in its own time.
void Emulator::arm_timer() {
  const std::optional<TimePoint> deadline = medium_.next_deadline();
  itimerspec spec{};  // zero: off
  if (deadline) spec.it_value = timespec_of(std::max(*deadline, woken_ + kTurn));
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void Emulator::accept_control() {
  Descriptor connection(::accept4(control_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (connection.get() < 0 || connections_.size() >= kMaxConnections || !watch(connection.get())) return;
  connections_.push_back(std::move(connection));
}

/// One line in, one answer out, then it is closed.
void Emulator::answer_control(int fd) {
  const ssize_t bytes = ::recv(fd, buffer_.data(), kMaxLine, 0);
  if (bytes > 0) {
    const std::string answer =
        obey({reinterpret_cast<const char*>(buffer_.data()), static_cast<std::size_t>(bytes)});
    (void)::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
  std::erase_if(connections_, [fd](const Descriptor& connection) { return connection.get() == fd; });
}

std::string Emulator::obey(std::string_view line) {
  const Result<Command> command = parse_command(line, tuns_.size());
  if (!command) return fmt::format("error: {}\n  fix: {}", command.error().message, command.error().hint);
  if (std::holds_alternative<Stats>(*command)) return stats();
  if (std::holds_alternative<Stop>(*command)) stopped_ = true;
  if (const auto* state = std::get_if<SetState>(&*command)) carry_out(*state);
  if (const auto* link = std::get_if<SetLink>(&*command)) carry_out(*link);
  if (const auto* profile = std::get_if<UseProfile>(&*command)) {
    if (profile->profile->topology != medium_.topology()) {
      return "error: a running lab cannot change between shared air and a switch\n  fix: start another lab";
    }
    carry_out(*profile);
  }
  return "ok";
}

void Emulator::carry_out(const SetState& command) {
  switch (command.state) {
    case StationState::vanished:
      return medium_.vanish(command.station, woken_);
    case StationState::frozen:
      return medium_.freeze(command.station, woken_);
    case StationState::present:
      return medium_.restore(command.station, woken_);
  }
}

void Emulator::carry_out(const SetLink& command) {
  for (std::size_t station = 0; station < tuns_.size(); ++station) {
    if (command.station && *command.station != station) continue;
    const Result<Link> link = apply_settings(medium_.link(station), command.settings);
    if (link) medium_.set_link(station, *link, woken_);
  }
}

void Emulator::carry_out(const UseProfile& command) {
  for (std::size_t station = 0; station < tuns_.size(); ++station) {
    medium_.set_link(station, command.profile->link, woken_);
  }
}

std::string Emulator::stats() const {
  const double delivered = static_cast<double>(std::max<std::uint64_t>(counters_.delivered, 1));
  Json value;
  value["seconds"] = std::chrono::duration<double>(Clock::now() - began_).count();
  value["processor_seconds"] = processor_seconds();
  value["turns"] = counters_.turns;
  value["delivered"] = counters_.delivered;
  value["delivered_bytes"] = counters_.delivered_bytes;
  value["lost"] = counters_.lost;
  value["queue_full"] = counters_.queue_full;
  value["vanished"] = counters_.vanished;
  value["unroutable"] = counters_.unroutable;
  value["refused"] = counters_.refused;
  value["late_mean_us"] = microseconds(counters_.late) / delivered;
  value["late_over_1ms"] = counters_.very_late;
  value["late_max_us"] = microseconds(counters_.latest);
  return value.dump();
}

}  // namespace caravan::lab
