// Carries out one master's commands, one after the other, on one device.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fabric/wire/dispatch.h"
#include "fabric/worker/device.h"
#include "fabric/worker/graphs.h"
#include "fabric/worker/mailbox.h"
#include "fabric/worker/memory.h"
#include "fabric/worker/peers.h"
#include "fabric/worker/timeline.h"
#include "fabric/worker/weight_loader.h"

namespace caravan::fabric::worker {

/// What is the same for all masters of a worker.
struct WorkerSettings {
  std::uint32_t threads = 1;       ///< when the master does not say
  std::uint32_t most_threads = 1;  ///< whatever the master says
  std::uint64_t memory_limit = 0;  ///< bytes of all buffers, 0: what the device has
  Addresses addresses = Addresses::loopback;
  Milliseconds hand_off_time{30000};  ///< how long a RECEIVE waits
  Milliseconds patience{30000};       ///< how long a write waits for somebody who takes nothing
};

/// Used by one thread, but for cancel().
class Executor {
 public:
  struct Ways {
    /// Sends a frame to the master.
    std::function<Result<void>(std::string_view frame)> answer;
    /// BEATs come at this interval from now on, 0: no more.
    std::function<void(Milliseconds interval)> pulse;
  };

  Executor(const WorkerSettings& settings, Mailbox& mailbox, WeightSource& weights, Ways ways);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  ~Executor();

  /// Blocks until the command is done. After an error the executor must not be used any more.
  Result<void> execute(Type type, std::string_view payload);
  /// The master is gone: whatever runs or waits ends soon, with an error. From any thread.
  void cancel();

  /// The stage that is at fault when a command has failed: this one, or one that handed nothing over.
  std::uint32_t to_blame() const { return blamed_.value_or(stage_); }
  /// What it does now, and how much it has done: commands, and bytes that were handed on. From any thread.
  Doing doing() const { return doing_; }
  std::uint64_t moved() const { return done_ + peers_.written(); }
  TimelineRecorder& timeline() { return timeline_; }

  // One for each command; MessageList::read calls them.
  Result<void> operator()(const Open& command);
  Result<void> operator()(const Peer& command);
  Result<void> operator()(const Alloc& command);
  Result<void> operator()(const Free& command);
  Result<void> operator()(const Set& command);
  Result<void> operator()(const SetRows& command);
  Result<void> operator()(const Fill& command);
  Result<void> operator()(const Copy& command);
  Result<void> operator()(const Layout& command);
  Result<void> operator()(const DropGraph& command);
  Result<void> operator()(const Run& command);
  Result<void> operator()(const Get& command);
  Result<void> operator()(const Send& command);
  Result<void> operator()(const Receive& command);
  Result<void> operator()(const Weight& command);
  Result<void> operator()(const WeightsEnd& command);
  Result<void> operator()(const Stream& command);
  Result<void> operator()(const Stats& command);
  Result<void> operator()(const Ping& command);
  Result<void> operator()(const Pulse& command);
  Result<void> operator()(const Reduce& command);

 private:
  /// What there is once a device was opened.
  struct Opened {
    Opened(ComputeDevice chosen, std::uint64_t memory_limit, WeightSource& source)
        : device(std::move(chosen)), memory(device, memory_limit), weights(memory, source) {}
    ComputeDevice device;
    Memory memory;
    WeightLoader weights;
    GraphStore graphs;
  };
  template <typename M>
  Result<void> answer_with(const M& message);
  /// `bytes` as they travel.
  Result<void> give(std::uint32_t stage, std::uint64_t tag, Format format, std::string_view bytes);
  /// What a stage hands over with this tag, as it has to be in memory.
  Result<std::string> take(std::uint32_t stage, std::uint64_t tag, std::uint64_t size, bool directly);

  const WorkerSettings settings_;
  Mailbox& mailbox_;
  WeightSource& weights_;
  const Ways ways_;
  std::atomic<bool> cancelled_{false};
  std::atomic<Doing> doing_{Doing::wait_command};
  std::atomic<std::uint64_t> done_{0};
  Peers peers_;
  TimelineRecorder timeline_;
  std::uint32_t stage_ = 0;
  std::uint64_t session_ = 0;
  std::optional<std::uint32_t> blamed_;
  std::unique_ptr<Opened> opened_;
};

}  // namespace caravan::fabric::worker
