#include "fabric/module/tracer.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "base/files.h"

namespace caravan::fabric {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 50ms;   // from look to look for a request
constexpr auto kTick = 10ms;   // of the trace's thread
constexpr auto kEager = 30ms;  // from question to question at first: they also compare the clocks
constexpr int kEagerTimes = 8;
constexpr auto kSteady = 200ms;     // and later
constexpr auto kLate = 1s;          // an answer that has taken so long
constexpr auto kTell = 250ms;       // from word to word of how far it is
constexpr auto kLastAnswers = 10s;  // a worker computes a part of a prompt before it answers

std::string text_of(const Json& json) { return dump_json(json); }

}  // namespace

Tracer::Tracer(Streams& streams, std::filesystem::path folder)
    : streams_(streams), folder_(std::move(folder)) {}

Tracer::~Tracer() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

void Tracer::look(Moment now) {
  if (folder_.empty() || running_) return;
  if (now - looked_ < kLook) return;
  looked_ = now;
  if (auto request = new_request()) begin(std::move(*request));
}

std::optional<trace::Request> Tracer::new_request() {
  const auto file = folder_ / trace::kRequestFile;
  if (access(file.c_str(), F_OK) != 0) return {};
  const auto text = read_file(file, Bytes{trace::kMaxRequestBytes});
  if (!text) return {};
  const auto json = parse_json(*text, trace::kMaxRequestBytes);
  if (!json) return {};
  auto request = trace::request_from_json(*json);
  if (!request || request->id == last_id_) return {};
  return std::move(*request);
}

/// What is said here goes with the graph that is about to be said, before it.
void Tracer::begin(trace::Request request) {
  if (thread_.joinable()) thread_.join();  // it has ended
  const auto& stages = streams_.plan().stages;
  last_id_ = request.id;
  request_ = std::move(request);
  began_ = Clock::now();
  told_tokens_ = -1;
  told_ = {};
  room_ = trace::kMaxSpans;
  asked_.assign(stages.size(), {});
  recorders_.clear();
  recorders_.reserve(stages.size());
  for (const Stage& stage : stages) recorders_.emplace_back(stage.name, began_);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    streams_.take_timelines(i);  // what a trace that was given up on still got
    ask(i, StatsAction::start);
  }
  streams_.trace().begin(began_, static_cast<std::uint32_t>(request_.decode_rows));
  running_ = true;
  thread_ = std::thread([this] {
    run();
    running_ = false;
  });
}

void Tracer::ask(std::size_t stage, StatsAction action) {
  asked_[stage].when = Clock::now();
  asked_[stage].is_out = true;
  ++asked_[stage].times;
  streams_.ask_timeline(stage, action);
}

/// Until there is enough, time is over, or nobody wants it any more.
bool Tracer::is_wanted(Moment now) const {
  if (ending_ || streams_.failed() || now - began_ >= std::chrono::seconds(request_.seconds)) return false;
  const auto& log = streams_.trace();
  if (log.tokens() >= request_.tokens || log.full() || room_ == 0) return false;
  return access((folder_ / trace::kRequestFile).c_str(), F_OK) == 0;
}

void Tracer::run() {
  for (auto now = Clock::now(); is_wanted(now); now = Clock::now()) {
    collect();
    ask_who_is_due(now);
    tell_progress(false);
    std::this_thread::sleep_for(kTick);
  }
  streams_.trace().end();
  if (ending_ || streams_.failed() || !await_last_answers()) return;
  write_recording();
}

void Tracer::collect() {
  for (std::size_t i = 0; i < recorders_.size(); ++i) {
    for (const auto& [timeline, came] : streams_.take_timelines(i)) {
      room_ -= recorders_[i].take(timeline, asked_[i].when, came, room_);
      asked_[i].is_out = false;
    }
  }
}

/// Nobody while an answer takes long: a plan that stands still is known by workers that do nothing, and our
/// questions are something.
void Tracer::ask_who_is_due(Moment now) {
  const auto is_late = [now](const Asked& asked) { return asked.is_out && now - asked.when > kLate; };
  if (std::ranges::any_of(asked_, is_late)) return;
  bool asked = false;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const auto pause = asked_[i].times <= kEagerTimes ? Duration(kEager) : Duration(kSteady);
    if (asked_[i].is_out || now - asked_[i].when < pause) continue;
    ask(i, StatsAction::collect);
    asked = true;
  }
  if (asked) streams_.flush();
}

void Tracer::tell_progress(bool done) {
  const int tokens = streams_.trace().tokens();
  const auto now = Clock::now();
  if (!done && (tokens == told_tokens_ || now - told_ < kTell)) return;
  told_tokens_ = tokens;
  told_ = now;
  const auto text = text_of(to_json(trace::Progress{request_.id, tokens, done}));
  if (auto written = write_file_atomically(folder_ / trace::kProgressFile, text); !written && done)
    std::fputs(fmt::format("caravan-fabric: no trace: {}\n", written.error().message).c_str(), stderr);
}

/// False when the module ends before they come.
bool Tracer::await_last_answers() {
  std::vector<bool> stopped(asked_.size(), false);
  const auto deadline = Clock::now() + kLastAnswers;
  while (!ending_ && !streams_.failed() && Clock::now() < deadline) {
    collect();
    bool all = true;
    for (std::size_t i = 0; i < asked_.size(); ++i) {
      all = all && stopped[i] && !asked_[i].is_out;
      if (stopped[i] || asked_[i].is_out) continue;
      ask(i, StatsAction::stop);
      stopped[i] = true;
      streams_.flush();
    }
    if (all) break;
    std::this_thread::sleep_for(kTick);
  }
  return !ending_ && !streams_.failed();
}

void Tracer::write_recording() {
  auto recording = streams_.trace().recording(Clock::now());
  recording.stages.reserve(recorders_.size());
  for (const StageRecorder& recorder : recorders_) recording.stages.push_back(recorder.record());
  if (access((folder_ / trace::kRequestFile).c_str(), F_OK) != 0) return;  // nobody would take it
  const auto text = text_of(to_json(recording));
  if (auto written = write_file_atomically(folder_ / trace::kRecordingFile, text); !written)
    std::fputs(fmt::format("caravan-fabric: no trace: {}\n", written.error().message).c_str(), stderr);
  tell_progress(true);
}

}  // namespace caravan::fabric
