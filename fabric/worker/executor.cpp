#include "fabric/worker/executor.h"

#include <algorithm>

#include <fmt/format.h>

#include "fabric/ops/engine.h"
#include "fabric/worker/all_reduce.h"

namespace caravan::fabric::worker {
namespace {

/// How long the master may take to see that another worker is gone.
constexpr Milliseconds kBlameTime{1000};
/// Two of these fit into any socket's buffers.
constexpr std::uint64_t kDirectBytes = std::uint64_t{16} << 10U;

/// Says what is done as long as it lives.
class Now {
 public:
  Now(std::atomic<Doing>& place, Doing doing) : place_(place), before_(place.exchange(doing)) {}
  Now(const Now&) = delete;
  Now& operator=(const Now&) = delete;
  ~Now() { place_ = before_; }

 private:
  std::atomic<Doing>& place_;
  const Doing before_;
};

}  // namespace

Executor::Executor(const WorkerSettings& settings, Mailbox& mailbox, WeightSource& weights, Ways ways)
    : settings_(settings),
      mailbox_(mailbox),
      weights_(weights),
      ways_(std::move(ways)),
      peers_(engine_build(), settings.addresses) {}

Executor::~Executor() {
  mailbox_.close();
  mailbox_.leave_inlets();
}

void Executor::cancel() {
  cancelled_ = true;
  peers_.cancel();
  mailbox_.close();
}

template <typename M>
Result<void> Executor::answer_with(const M& message) {
  std::string frame;
  append_message(frame, message);
  return ways_.answer(frame);
}

Result<void> Executor::execute(Type type, std::string_view payload) {
  const Now now(doing_, Doing::compute);
  ++done_;
  const bool opens = type == Type::open;
  if (opens == (opened_ != nullptr)) {
    return Error{Code::invalid,
                 fmt::format("{} comes {} OPEN", name_of(type), opens ? "after another" : "before"),
                 "update Caravan on the master"};
  }
  if (type == Type::graph) return opened_->graphs.add(payload, opened_->memory, opened_->device);
  return Commands::read(type, payload, *this);
}

Result<void> Executor::operator()(const Open& command) {
  const std::uint32_t wanted = command.threads != 0 ? command.threads : settings_.threads;
  auto device = ComputeDevice::open(command.device, std::min(wanted, settings_.most_threads), &cancelled_);
  if (!device) return device.error();
  opened_ = std::make_unique<Opened>(std::move(*device), settings_.memory_limit, weights_);
  stage_ = command.stage;
  session_ = command.session;
  peers_.introduce(stage_, session_);
  mailbox_.open(session_);
  return {};
}

Result<void> Executor::operator()(const Peer& command) {
  peers_.set(command);
  return {};
}

Result<void> Executor::operator()(const Alloc& command) {
  return opened_->memory.allocate(command.buffer, command.size);
}

Result<void> Executor::operator()(const Free& command) {
  opened_->graphs.drop_users_of(command.buffer);
  opened_->weights.forget(command.buffer);
  return opened_->memory.free(command.buffer);
}

Result<void> Executor::operator()(const Set& command) {
  const std::uint64_t begin = timeline_.on() ? now_ns() : 0;
  auto set = opened_->memory.set(command.buffer, command.offset, command.data);
  timeline_.add(Doing::load, begin, command.data.size());
  return set;
}

Result<void> Executor::operator()(const SetRows& command) { return opened_->memory.set_rows(command); }

Result<void> Executor::operator()(const Fill& command) {
  return opened_->memory.fill(command.region, command.value);
}

Result<void> Executor::operator()(const Copy& command) { return opened_->memory.copy(command); }

Result<void> Executor::operator()(const Layout& command) {
  return opened_->memory.lay_out(command.buffer, command.offset, command.tensor_type, command.ne);
}

Result<void> Executor::operator()(const DropGraph& command) {
  opened_->graphs.drop(command.id);
  return {};
}

Result<void> Executor::operator()(const Run& command) {
  if (!opened_->weights.complete())
    return Error{Code::invalid, "a graph would run before all weights are there",
                 "update Caravan on the master"};
  const std::uint64_t begin = timeline_.on() ? now_ns() : 0;
  auto ran = opened_->graphs.run(command.id, opened_->memory, opened_->device);
  timeline_.add(Doing::compute, begin, command.id);
  return ran;
}

Result<void> Executor::operator()(const Get& command) {
  if (command.region.size == 0) {
    if (const auto there = opened_->memory.check(command.region); !there) return there.error();
    return answer_with(Data{command.request, 0, {}});
  }
  const std::uint64_t begin = timeline_.on() ? now_ns() : 0;
  std::uint64_t offset = 0;
  auto given = opened_->memory.get(command.region, [&](std::string_view piece) {
    auto sent = answer_with(Data{command.request, offset, piece});
    offset += piece.size();
    return sent;
  });
  timeline_.add(Doing::send, begin, 0);
  return given;
}

Result<void> Executor::operator()(const Send& command) {
  if (!pack_fits(command.format, command.region.size))
    return Error{Code::invalid, "a hand-off whose size does not fit its format",
                 "use f32 between the stages"};
  std::string bytes;
  if (const auto there = opened_->memory.check(command.region); !there) return there.error();
  bytes.reserve(command.region.size);
  const auto got = opened_->memory.get(command.region, [&bytes](std::string_view piece) -> Result<void> {
    bytes.append(piece);
    return {};
  });
  if (!got) return got.error();
  if (command.format != Format::as_is) bytes = pack(command.format, bytes);
  mailbox_.leave_inlets();
  return give(command.stage, command.tag, command.format, bytes);
}

Result<void> Executor::give(std::uint32_t stage, std::uint64_t tag, Format format, std::string_view bytes) {
  const std::uint64_t begin = timeline_.on() ? now_ns() : 0;
  const Now now(doing_, Doing::send);
  const auto way = peers_.to(stage);
  if (!way) return way.error();
  auto sent = hand_off(**way, tag, format, bytes, settings_.patience);
  timeline_.add(Doing::send, begin, tag);
  if (sent) return {};
  // One that is gone is gone for the master too, who is to blame it and not this worker for what it says.
  if (peers_.wait_for_cancel(kBlameTime)) return Peers::gone();
  return with_context(sent.error(), fmt::format("handing over to stage {}", stage));
}

Result<void> Executor::operator()(const Receive& command) {
  if (const auto there = opened_->memory.check(command.region); !there) return there.error();
  mailbox_.leave_inlets();
  const auto bytes = take(command.stage, command.tag, command.region.size, false);
  if (!bytes) return bytes.error();
  return opened_->memory.set(command.region.buffer, command.region.offset, *bytes);
}

Result<std::string> Executor::take(std::uint32_t stage, std::uint64_t tag, std::uint64_t size,
                                   bool directly) {
  const std::uint64_t begin = timeline_.on() ? now_ns() : 0;
  const Now now(doing_, Doing::wait_peer);
  const ParcelName name{session_, stage, tag};
  const SteadyTime deadline = Clock::now() + settings_.hand_off_time;
  auto parcel = directly ? mailbox_.take_directly(name, deadline) : mailbox_.take(name, deadline);
  timeline_.add(Doing::wait_peer, begin, tag);
  if (!parcel) {
    if (parcel.error().code == Code::disconnected) blamed_ = stage;
    return parcel.error();
  }
  return unpack(parcel->format, std::move(parcel->bytes), size);
}

Result<void> Executor::operator()(const Reduce& command) {
  // What is small waits in the sockets until this thread reads it, which saves it a change of threads.
  const bool directly = command.region.size <= kDirectBytes;
  if (!directly) mailbox_.leave_inlets();
  return all_reduce(
      command, stage_, opened_->memory,
      {[&](std::uint32_t stage, std::string_view values) {
         return give(stage, command.tag, Format::as_is, values);
       },
       [&](std::uint32_t stage, std::uint64_t size) { return take(stage, command.tag, size, directly); }});
}

Result<void> Executor::operator()(const Weight& command) {
  const std::uint64_t begin = timeline_.on() ? now_ns() : 0;
  auto loaded = opened_->weights.load(command);
  timeline_.add(Doing::load, begin, command.content.size);
  return loaded;
}

Result<void> Executor::operator()(const WeightsEnd& command) {
  return answer_with(opened_->weights.missing(command.request));
}

Result<void> Executor::operator()(const Stream& command) { return opened_->weights.stream(command); }

Result<void> Executor::operator()(const Stats& command) {
  if (command.action == StatsAction::start) timeline_.start();
  const Timeline collected = timeline_.collect(command.request);
  if (command.action == StatsAction::stop) timeline_.stop();
  return answer_with(collected);
}

Result<void> Executor::operator()(const Ping& command) {
  const auto [free, total] = opened_->device.memory();
  const std::uint64_t limit = settings_.memory_limit != 0 ? settings_.memory_limit : total;
  const std::uint64_t held = opened_->memory.held();
  return answer_with(Pong{command.request, std::min<std::uint64_t>(free, limit - held),
                          std::min<std::uint64_t>(total, limit)});
}

Result<void> Executor::operator()(const Pulse& command) {
  ways_.pulse(Milliseconds(command.interval_ms));
  return {};
}

}  // namespace caravan::fabric::worker
