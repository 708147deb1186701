// The connections to all workers of a plan. What is said to a worker is collected and written by flush(); one
// thread a connection reads what comes back. The first failure of any of them ends all of them, once and for
// good: one line "caravan: stage N (NAME) failed: why" goes to stderr, every wait ends, and what was to be
// read is zeros. All functions may be called from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fabric/module/inbox.h"
#include "fabric/module/liveness.h"
#include "fabric/module/plan.h"
#include "fabric/module/trace_log.h"
#include "fabric/net/frame_reader.h"
#include "fabric/wire/graph.h"

namespace caravan::fabric {

class Streams {
 public:
  /// Connects to every stage and opens its first device. Blocks for the plan's time-out a stage at most.
  static Result<std::unique_ptr<Streams>> open(Plan plan, const std::string& engine);
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  ~Streams();

  const Plan& plan() const { return plan_; }
  const Device& device(std::size_t stage) const { return stages_[stage]->device; }

  /// The next command of a stage. Written by the next flush(), or at once when much has collected.
  template <typename M>
  void say(std::size_t stage, const M& message) {
    const std::lock_guard lock(writing_);
    append_message(stages_[stage]->out.bytes, message);
    flush_if_much(stage);
  }
  void say_graph(std::size_t stage, const Graph& graph, const Graph* base);
  /// Asks for the bytes of `region`, at least one. `to` has to live until a wait for it ends.
  std::uint32_t ask(std::size_t stage, const Region& region, char* to);

  /// Writes what was said to all stages: one may wait for another. False when the plan has failed.
  bool flush();
  /// Flushes, then blocks until the answer is there. False when the plan has failed.
  bool wait(std::size_t stage, std::uint32_t request);
  /// The same for all that was asked of this stage. Does nothing, not even flush, when nothing was.
  bool wait_for_reads(std::size_t stage);
  /// Asks which of the weights that were said since the last time the stage does not have; the request's
  /// number.
  std::uint32_t ask_missing(std::size_t stage);
  /// What has come of that since the last call.
  std::vector<MissingWeight> take_missing(std::size_t stage);
  /// Says STATS. The answer is the caller's to fetch: nobody waits for it here.
  void ask_timeline(std::size_t stage, StatsAction action);
  struct ToldTimeline {
    Timeline timeline;
    Moment came;
  };
  /// What has come of that since the last call.
  std::vector<ToldTimeline> take_timelines(std::size_t stage);
  /// The master's own part of a trace.
  TraceLog& trace() { return trace_; }
  const TraceLog& trace() const { return trace_; }
  /// Blocks until the stage has worked off all that was said to it.
  bool settle(std::size_t stage);

  bool failed() const { return failed_; }
  /// Ends the plan because of this stage.
  void fail(std::size_t stage, const std::string& why);
  /// A number that names a hand-off.
  std::uint64_t next_tag() { return ++last_tag_; }

 private:
  struct Outgoing {
    std::string bytes;
    std::size_t sealed = 0;   // of them
    std::size_t written = 0;  // of them
    void clear() {
      bytes.clear();
      sealed = written = 0;
    }
  };
  struct Connection {
    explicit Connection(Channel opened)
        : channel(std::move(opened)), answers(channel, {Role::worker, false}) {}
    Channel channel;
    FrameReader answers;
    Device device;
    Outgoing out;                         // guarded by writing_
    Inbox inbox;                          // guarded by reading_
    Moment heard;                         // guarded by reading_: when bytes came last
    std::vector<ToldTimeline> timelines;  // guarded by reading_
    Moment moved;                         // guarded by reading_: when it did something last
    std::optional<Progress> progress;     // guarded by reading_: what it said last
    std::thread reader;
  };

  explicit Streams(Plan plan) : plan_(std::move(plan)), trace_(plan_.stages.size()) {}
  Result<void> connect(std::size_t stage, const std::string& engine);
  void introduce(std::size_t stage);
  void flush_if_much(std::size_t stage);
  bool flush_locked();
  std::uint32_t expect_other(std::size_t stage);
  bool wait_until(std::size_t stage, const std::function<bool()>& done);
  std::vector<Moment> heard();
  std::optional<std::size_t> who_is_silent(Moment began);
  bool nothing_moves(Moment began);
  Moment next_look(Moment began);
  std::string no_sign_of_life() const;
  void read_answers(std::size_t stage);
  Result<void> take(std::size_t stage, Type type, std::string_view payload);
  Result<void> take_timeline(std::size_t stage, std::string_view payload);
  Result<void> take_progress(std::size_t stage, std::string_view payload);
  template <typename M>
  Result<void> take_in(std::size_t stage, std::string_view payload);

  Plan plan_;
  TraceLog trace_;
  std::uint64_t session_ = 0;  // random: tells this start from others
  std::vector<std::unique_ptr<Connection>> stages_;
  std::mutex writing_;  // before reading_ where both are held
  std::mutex reading_;
  std::condition_variable news_;
  std::atomic<bool> failed_ = false;
  std::atomic<std::uint64_t> last_tag_ = 0;
};

}  // namespace caravan::fabric
