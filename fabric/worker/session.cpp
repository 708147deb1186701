#include "fabric/worker/session.h"

#include <array>
#include <future>
#include <new>
#include <thread>

#include "fabric/net/greeting.h"

namespace caravan::fabric::worker {
namespace {

constexpr std::uint64_t kQueuedBytes = std::uint64_t{32} << 20U;
/// How long a master that was told an error may take to close.
constexpr Milliseconds kDrainTime{1000};

Error no_memory() {
  return {Code::exhausted, "the worker has no memory left",
          "give this stage fewer layers or a shorter context"};
}

}  // namespace

Session::Session(Channel& channel, FrameReader& reader, const WorkerSettings& settings, Mailbox& mailbox,
                 WeightSource& weights)
    : channel_(channel),
      reader_(reader),
      patience_(settings.patience),
      counting_(channel, read_),
      queue_(kQueuedBytes),
      executor_(settings, mailbox, weights,
                {[this](std::string_view frame) { return write(frame); },
                 [this](Milliseconds interval) { heart_.set(interval); }}),
      heart_([this] { beat(); }) {}

Result<void> Session::write(std::string_view frame) {
  const std::scoped_lock lock(writing_);
  return channel_.write_all(frame, patience_);
}

void Session::beat() {
  std::string frame;
  append_message(frame, Beat{++beats_});
  append_message(frame, Progress{executor_.doing(), read_ + executor_.moved()});
  // A master that is gone is seen by the thread that reads.
  (void)write(frame);
}

void Session::read_all() {
  while (true) {
    auto frame = reader_.next(nullptr);
    if (!frame) {
      queue_.end(frame.error());
      if (frame.error().code == Code::disconnected) {
        ending_ = true;
        // Nobody is left to whom results could matter. Weights that are here need not cross the air again.
        queue_.keep_first(Type::stream);
        executor_.cancel();
      }
      return;
    }
    // After an error nothing is taken any more, but read it is: the system would throw away the error on its
    // way if the connection were closed over unread bytes.
    (void)queue_.push(std::move(*frame));
  }
}

void Session::drain() {
  std::array<char, 4096> nowhere{};
  while (channel_.read_some(nowhere.data(), nowhere.size(), nullptr)) {
  }
}

void Session::stop() {
  ending_ = true;
  queue_.abandon();
  executor_.cancel();
  channel_.shut_down();
}

Error Session::run() {
  std::promise<void> over;
  std::thread reader([this, &over] {
    try {
      read_all();
    } catch (const std::bad_alloc&) {
      queue_.end(no_memory());
    }
    drain();
    over.set_value();
  });
  const Outcome outcome = work();
  ending_ = true;
  heart_.set(Milliseconds(0));
  if (!outcome.master_gone) {
    // Where a beat waits for a master that takes nothing, words would wait too.
    const std::unique_lock lock(writing_, std::try_to_lock);
    if (lock.owns_lock()) tell(channel_, outcome.why, executor_.to_blame(), outcome.about);
    queue_.abandon();
    channel_.finish_writing();
    over.get_future().wait_for(kDrainTime);
  }
  channel_.shut_down();
  reader.join();
  return outcome.why;
}

Session::Outcome Session::work() {
  while (true) {
    const std::uint64_t begin = executor_.timeline().on() ? now_ns() : 0;
    const auto frame = queue_.pop();
    executor_.timeline().add(Doing::wait_command, begin, 0);
    if (!frame) return {queue_.why(), 0, queue_.why().code == Code::disconnected};
    const auto done = execute(*frame);
    if (!done) return {done.error(), static_cast<std::uint16_t>(frame->type), false};
  }
}

Result<void> Session::execute(const Frame& frame) {
  try {
    return executor_.execute(frame.type, frame.payload);
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
}

}  // namespace caravan::fabric::worker
