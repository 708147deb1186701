// Traces on request: looks for a request in the trace's folder now and then, before a graph of the first
// stage; switches on the workers' timelines, collects them beside the stream of commands, and leaves a
// recording in the folder. The thread that does so lives as long as the trace. docs/trace.md.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fabric/module/stage_recorder.h"
#include "fabric/module/streams.h"

namespace caravan::fabric {

class Tracer {
 public:
  /// `folder`: empty for a plan without traces.
  Tracer(Streams& streams, std::filesystem::path folder);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  ~Tracer();

  /// Before a graph of the first stage is said, by one thread at a time. Costs a look at a clock; every 50
  /// ms, and only when no trace runs, a look at the folder.
  void look() { look(Clock::now()); }
  void look(Moment now);

 private:
  struct Asked {
    bool is_out = false;  ///< an answer is awaited
    Moment when{};
    int times = 0;
  };

  std::optional<trace::Request> new_request();
  void begin(trace::Request request);
  void run();
  bool is_wanted(Moment now) const;
  void ask(std::size_t stage, StatsAction action);
  void collect();
  void ask_who_is_due(Moment now);
  void tell_progress(bool done);
  bool await_last_answers();
  void write_recording();

  Streams& streams_;
  const std::filesystem::path folder_;
  Moment looked_{};  ///< by look()
  std::string last_id_;
  std::atomic<bool> running_ = false;
  std::atomic<bool> ending_ = false;
  std::thread thread_;

  // Of the trace that runs; only its thread uses them.
  trace::Request request_;
  Moment began_{};
  int told_tokens_ = -1;
  Moment told_{};         ///< the progress, at last
  std::size_t room_ = 0;  ///< for spans
  std::vector<Asked> asked_;
  std::vector<StageRecorder> recorders_;
};

}  // namespace caravan::fabric
