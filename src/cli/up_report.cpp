#include "cli/up_report.h"

#include <unistd.h>

#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cli/node_log.h"
#include "cli/node_report.h"

namespace caravan::cli {

UpReport::UpReport(Reader reader, fs::path state_folder)
    : reader_(reader), state_folder_(std::move(state_folder)) {}

void UpReport::event(const Json& facts) {
  fmt::print("{}\n", dump_json(facts));
  std::fflush(stdout);
}

void UpReport::note(const std::string& text) {
  spdlog::warn("{}", trim(text));
  if (reader_ == Reader::json) event({{"event", "note"}, {"text", trim(text)}});
  if (reader_ == Reader::terminal || reader_ == Reader::lines) fmt::print("{}\n", printable(trim(text)));
}

void UpReport::ready(const app::NodeOptions& options, const std::string& api, bool wake_lock) {
  spdlog::info("{} is up: {} (process {})", options.device, api, ::getpid());
  if (reader_ == Reader::lines) {
    fmt::print("{} is up: {}/v1  (Ctrl-C ends it)\n", printable(options.device), api);
    std::fflush(stdout);
  }
  if (reader_ == Reader::json || reader_ == Reader::starter) {
    event({{"event", "ready"},
           {"device", options.device},
           {"api", api},
           {"pid", ::getpid()},
           {"wake_lock", wake_lock},
           {"log", node_log_path(state_folder_).string()}});
  }
  // Whoever started it has heard what it wanted to.
  if (reader_ != Reader::starter) return;
  if (const auto redirected = redirect_to_node_log(state_folder_, STDOUT_FILENO); !redirected)
    spdlog::warn("{}", redirected.error().message);
}

void UpReport::state(const cluster::NodeState& state) {
  const bool news = is_news(std::exchange(told_, state), state);
  if (news) spdlog::info("{}", activity_of(state));
  if (reader_ == Reader::terminal) {
    std::vector<std::string> lines = lines_of(state);
    lines.push_back(fmt::format("  log     {}", for_people(node_log_path(state_folder_))));
    lines.emplace_back("Ctrl-C ends it.");
    view_.update(lines);
  }
  if (!news) return;
  if (reader_ == Reader::json) event({{"event", "state"}, {"state", to_json(state)}});
  if (reader_ != Reader::lines) return;
  fmt::print("{}: {}\n", printable(state.device), printable(activity_of(state)));
  std::fflush(stdout);
}

int UpReport::failed(const Error& error) {
  spdlog::error("{}{}", error.message, error.hint.empty() ? "" : "; " + error.hint);
  if (reader_ == Reader::starter) event({{"event", "failed"}, {"error", to_json(error)}});
  return reader_ == Reader::starter ? exit_code_of(error.code) : print_error(error, reader_ == Reader::json);
}

void UpReport::ended() {
  spdlog::info("ended");
  view_.clear();
  if (reader_ == Reader::json) event({{"event", "ended"}});
  if (reader_ == Reader::terminal || reader_ == Reader::lines)
    fmt::print("{} has ended.\n", printable(told_.device));
  std::fflush(stdout);
}

}  // namespace caravan::cli
