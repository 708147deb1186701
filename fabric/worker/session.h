// One master's connection, from its welcome to its end: a thread that reads, and the caller's thread that
// computes.
#pragma once

#include <atomic>
#include <mutex>

#include "fabric/net/frame_reader.h"
#include "fabric/worker/command_queue.h"
#include "fabric/worker/executor.h"
#include "fabric/worker/heart.h"

namespace caravan::fabric::worker {

class Session {
 public:
  /// Everything that is handed in must outlive this.
  Session(Channel& channel, FrameReader& reader, const WorkerSettings& settings, Mailbox& mailbox,
          WeightSource& weights);

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() = default;

  /// Blocks until the master is gone or has made a mistake, which it is told. What the master had is freed
  /// when this object goes.
  Error run();
  /// True when the master is gone or was told an error. From any thread.
  bool ending() const { return ending_; }
  /// Ends it: run() returns soon. From any thread.
  void stop();

 private:
  /// What is read counts for as long as this is there.
  struct Counting {
    Counting(Channel& counted, std::atomic<std::uint64_t>& read) : channel(counted) {
      channel.count(&read, nullptr);
    }
    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;
    ~Counting() { channel.count(nullptr, nullptr); }
    Channel& channel;
  };
  struct Outcome {
    Error why;
    std::uint16_t about = 0;
    bool master_gone = false;
  };
  void read_all();
  void drain();
  Outcome work();
  Result<void> execute(const Frame& frame);

  Result<void> write(std::string_view frame);
  void beat();

  Channel& channel_;
  FrameReader& reader_;
  const Milliseconds patience_;
  std::mutex writing_;
  std::uint32_t beats_ = 0;
  std::atomic<std::uint64_t> read_{0};
  Counting counting_;  // outlives the heart, which writes
  CommandQueue queue_;
  Executor executor_;
  std::atomic<bool> ending_{false};
  Heart heart_;
};

}  // namespace caravan::fabric::worker
