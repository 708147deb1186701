#include "app/trace_desk.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/json_look.h"
#include "engine/fabric.h"
#include "trace/recording.h"

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::seconds kHeartbeat{1};
/// After its time is over, the module still waits for the workers' last answers.
constexpr std::chrono::seconds kGrace{15};
constexpr const char* kJson = "application/json";

/// Removes what a trace leaves, however it ends: that also tells the module to stop.
class Files {
 public:
  explicit Files(fs::path folder) : folder_(std::move(folder)) {}
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() { clear(); }

  void clear() const {
    std::error_code ignored;  // the folder may be gone with the engine
    for (const char* name : {trace::kRequestFile, trace::kProgressFile, trace::kRecordingFile})
      fs::remove(folder_ / name, ignored);
  }
  Result<void> ask(const trace::Request& request) const {
    return write_file_atomically(folder_ / trace::kRequestFile, dump_json(to_json(request)));
  }
  /// Nothing when the module has not begun this one.
  std::optional<trace::Progress> progress(const std::string& id) const {
    const auto text = read_file(folder_ / trace::kProgressFile, Bytes{trace::kMaxRequestBytes});
    if (!text) return {};
    const auto json = parse_json(*text, trace::kMaxRequestBytes);
    if (!json) return {};
    auto progress = trace::progress_from_json(*json);
    if (!progress || progress->id != id) return {};
    return std::move(*progress);
  }
  Result<std::string> recording() const {
    auto text = read_file(folder_ / trace::kRecordingFile, Bytes{trace::kMaxRecordingBytes});
    if (text && text->find('\n') != std::string::npos)
      return Error{Code::bug, "the module's recording has several lines", "start the model anew"};
    return text;
  }

 private:
  fs::path folder_;
};

class BusyGuard {
 public:
  explicit BusyGuard(bool& busy) : busy_(busy) { busy_ = true; }
  BusyGuard(const BusyGuard&) = delete;
  BusyGuard& operator=(const BusyGuard&) = delete;
  ~BusyGuard() { busy_ = false; }

 private:
  bool& busy_;
};

asio::awaitable<void> pause() {
  asio::steady_timer timer(co_await asio::this_coro::executor, kLook);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> send_error(gateway::Responder& responder, const Error& error) {
  std::string body = dump_json({{"error", to_json(error)}});
  co_await responder.send(http_status_of(error.code), kJson, std::move(body));
}

Error nothing_answered(int seconds) {
  return {Code::unavailable, fmt::format("the model answered nothing in {} s", seconds),
          "ask it something meanwhile, or leave out --no-ask"};
}

/// Names of the devices that run llama-server.
std::string masters_in(const Json& view) {
  std::string names;
  for (const Json& device : part_of(view, "devices")) {
    if (text_in(device, "role") != "master") continue;
    names += (names.empty() ? "" : " or ") + text_in(device, "name");
  }
  return names;
}

}  // namespace

fs::path trace_folder(const fs::path& state_folder) { return state_folder / "trace"; }

Result<void> make_empty_trace_folder(const fs::path& state_folder) {
  remove_trace_folder(state_folder);
  return make_private_folder(trace_folder(state_folder));
}

void remove_trace_folder(const fs::path& state_folder) {
  std::error_code ignored;  // the next start tries again
  fs::remove_all(trace_folder(state_folder), ignored);
}

Result<TraceTarget> trace_target(const cluster::NodeState& state, const cluster::Assignment* assignment,
                                 const fs::path& state_folder, const Json& view) {
  if (assignment == nullptr || assignment->role != cluster::Role::master) {
    const std::string masters = masters_in(view);
    return Error{Code::unavailable, "no llama-server runs on this device",
                 masters.empty() ? "`caravan serve MODEL --data-path fabric` starts one"
                                 : fmt::format("run `caravan trace` on {}", masters)};
  }
  if (assignment->data_path != cluster::DataPath::fabric) {
    return Error{
        Code::incompatible,
        fmt::format("{} is served through llama.cpp's RPC, whose workers keep no timeline",
                    assignment->model_name),
        "`caravan serve MODEL --data-path fabric`; if that still uses RPC, `caravan status` says why"};
  }
  if (state.phase != cluster::Phase::ready) {
    return Error{Code::unavailable,
                 fmt::format("{} is not ready: {}", assignment->model_name, name_of(state.phase)),
                 "`caravan status --watch` shows when it is"};
  }
  return TraceTarget{trace_folder(state_folder), assignment->order, assignment->model_name,
                     std::max(1, assignment->parallel)};
}

asio::awaitable<void> TraceDesk::handle(gateway::Request request, gateway::Responder& responder) {
  const auto target = find_();
  if (!target) co_return co_await send_error(responder, target.error());
  Json asked = Json::object();
  if (!request.body.empty()) {
    auto json = parse_json(request.body, trace::kMaxRequestBytes);
    if (!json) co_return co_await send_error(responder, json.error());
    asked = std::move(*json);
  }
  const auto id = engine::new_fabric_key();
  if (!id) co_return co_await send_error(responder, id.error());
  if (asked.is_object()) {
    asked["id"] = *id;
    asked["decode_rows"] = static_cast<unsigned>(target->parallel);
  }
  const auto wanted = trace::request_from_json(asked);
  if (!wanted) co_return co_await send_error(responder, wanted.error());
  if (busy_) {
    const Error busy{Code::unavailable, "another trace is running", "try again when it has ended"};
    co_return co_await send_error(responder, busy);
  }
  const BusyGuard guard(busy_);
  const Files files(target->folder);
  files.clear();
  const auto written = files.ask(*wanted);
  if (!written) co_return co_await send_error(responder, written.error());
  if (!co_await responder.start(200, "application/x-ndjson")) co_return;
  co_await follow(*target, *id, wanted->seconds, responder);
}

Result<void> TraceDesk::still_there(const TraceTarget& target) const {
  const auto now = find_();
  if (now && now->order == target.order) return {};
  return Error{Code::disconnected, "the engine has ended during the trace",
               "`caravan status` says why; ask again when the model is served"};
}

asio::awaitable<void> TraceDesk::follow(TraceTarget target, std::string id, int seconds,
                                        gateway::Responder& responder) {
  const Files files(target.folder);
  TimePoint deadline = Clock::now() + std::chrono::seconds(seconds);
  TimePoint told = Clock::now() - kHeartbeat;
  std::optional<trace::Progress> last;
  std::optional<Error> failure;
  while (!failure) {
    const auto now_at = files.progress(id);
    if (now_at && !last) deadline = Clock::now() + std::chrono::seconds(seconds) + kGrace;
    if (now_at && now_at->done) {
      const auto recording = files.recording();
      if (!recording) {
        failure = recording.error();
        break;
      }
      traced_(target, *recording);
      const Json about{{"model", target.model}, {"parallel", target.parallel}};
      std::string line = dump_json(about);
      line.pop_back();  // the recording is JSON already
      line += ",\"recording\":" + *recording + "}\n";
      if (co_await responder.write(std::move(line))) co_await responder.finish();
      co_return;
    }
    const bool is_news = now_at && (!last || now_at->tokens != last->tokens);
    if (is_news) last = now_at;
    if (is_news || Clock::now() - told >= kHeartbeat) {
      told = Clock::now();
      std::string line = dump_json({{"begun", last.has_value()}, {"tokens", last ? last->tokens : 0}}) + "\n";
      if (!co_await responder.write(std::move(line))) co_return;
    }
    const auto there = still_there(target);
    if (!there) failure = there.error();
    if (!failure && Clock::now() >= deadline) {
      failure = last ? Error{Code::unavailable, "the module did not end the trace", "start the model anew"}
                     : nothing_answered(seconds);
    }
    if (failure) break;
    const auto woken = co_await (pause() || responder.client_gone());
    if (woken.index() == 1) co_return;
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
  }
  std::string line = dump_json({{"error", to_json(*failure)}}) + "\n";
  if (co_await responder.write(std::move(line))) co_await responder.finish();
}

}  // namespace caravan::app
