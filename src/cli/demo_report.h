// What `caravan demo` says while it runs: lines for a person, or one JSON event a line for a program.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "cli/chat_stream.h"
#include "cli/print.h"
#include "cluster/messages.h"
#include "model/gguf.h"
#include "model/progress.h"
#include "plan/plan.h"

namespace caravan::cli {

/// Writes to stdout. docs/demo-events.md lists the JSON events.
class DemoReport {
 public:
  explicit DemoReport(bool json);

  void begin(std::size_t n_devices);
  /// A step that is done: "engine", what it found, and how long it took since the step before.
  void step(std::string_view name, const std::string& text, Json facts);
  /// The model on its way here.
  void transfer(const model::Progress& progress);
  /// A step that is under way, 0 to 1, with a text for people.
  void progress(std::string_view name, double fraction, const std::string& text);
  void plan(const model::ModelFacts& model, const plan::Plan& plan);
  void question(const std::string& prompt);
  void text(std::string_view piece);
  /// `loaded` is the traffic when loading had ended, `answered` after the answer.
  void result(const ChatResult& chat, const std::vector<cluster::Traffic>& loaded,
              const std::vector<cluster::Traffic>& answered);
  void keep(const std::string& api, const std::string& model);
  /// llama.cpp's RPC is used instead of the fabric.
  void fallback(const std::string& reason);
  /// `keeps_weights`: the fabric's store stays, it is what makes the next start quick.
  void ended(bool failed, bool keeps_weights);
  void error(const Error& error);

 private:
  void event(std::string_view name, Json facts);
  void end_answer_line();

  bool json_;
  bool in_answer_ = false;
  TimePoint begin_ = Clock::now();
  TimePoint last_step_ = Clock::now();
  ProgressLine progress_;
};

}  // namespace caravan::cli
