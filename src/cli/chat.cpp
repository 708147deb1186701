#include "cli/chat.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/chat_api.h"
#include "cli/chat_stream.h"
#include "cli/conversation.h"
#include "cli/line_reader.h"
#include "cli/print.h"
#include "cli/this_node.h"

namespace caravan::cli {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::seconds kNodeTime{5};
constexpr const char* kPrompt = "> ";
constexpr const char* kExamples = R"(Examples:
  caravan chat                                  talk to the model that this device's node serves
  caravan chat "Why is the sky blue?"           one answer
  caravan chat --model qwen2.5-3b               one of several models that are served
  caravan chat --system "Answer in French."     what the model is told before
  caravan chat --api http://127.0.0.1:8081      another API, e.g. the one of `caravan demo --keep`
  echo "Say hello." | caravan chat --json       a line of JSON for each line of input

While it runs: /help, /stats, /new, /quit. Ctrl-C stops the answer; at the prompt it ends.)";

struct Arguments {
  std::string prompt;
  std::string api;
  std::string model;
  std::string system;
  int max_tokens = 0;
  bool json = false;
};

/// Completes when Ctrl-C is pressed, which ends nothing else as long as this waits.
asio::awaitable<void> ctrl_c() {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT);
  co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
}

/// The value of `work`, or Code::interrupted.
template <typename Value>
asio::awaitable<Result<Value>> unless_interrupted(asio::awaitable<Result<Value>> work) {
  auto outcome = co_await (std::move(work) || ctrl_c());
  if (outcome.index() == 1) co_return Error{Code::interrupted, "interrupted", ""};
  co_return std::get<0>(std::move(outcome));
}

Result<engine::TcpAddress> find_api(const Arguments& arguments) {
  if (!arguments.api.empty()) return parse_api_url(arguments.api);
  const auto state = state_of_this_node(kNodeTime);
  if (state) return parse_api_url(state->api);
  Error error = state.error();
  error.hint += "; --api talks to another one";
  return error;
}

class Chat {
 public:
  Chat(const Arguments& arguments, engine::TcpAddress address)
      : arguments_(arguments), address_(std::move(address)), conversation_(arguments.system) {}

  Result<void> find_model();
  /// Streams the answer. One that Ctrl-C stops is remembered as far as it came, and Code::interrupted.
  Result<void> answer(const std::string& text);
  /// Until the person or the input ends; the exit code.
  int talk();

 private:
  bool obey(const Input& input);
  int take_line(const std::string& line);

  const Arguments& arguments_;
  engine::TcpAddress address_;
  std::string model_;
  Conversation conversation_;
  std::optional<ChatResult> last_;
  bool interactive_ = is_terminal(stdout) && ::isatty(STDIN_FILENO) == 1;
  bool ended_ = false;
};

Result<void> Chat::find_model() {
  ProgressLine progress(stderr);
  const auto served =
      run_to_end(unless_interrupted(served_model(address_, arguments_.model, [&](const Readiness& readiness) {
        progress.update(fmt::format("the model is being loaded: {:.0f}%", 100 * readiness.progress));
      })));
  progress.clear();
  if (!served) return served.error();
  model_ = *served;
  return {};
}

Result<void> Chat::answer(const std::string& text) {
  std::string said;
  const auto on_text = [&](std::string_view piece) {
    said += piece;
    if (arguments_.json) return;
    fmt::print("{}", printable(piece));
    std::fflush(stdout);
  };
  Json request = conversation_.request(model_, text, arguments_.max_tokens);
  const auto result = run_to_end(unless_interrupted(stream_chat(address_, std::move(request), on_text)));
  if (!arguments_.json && !said.empty()) fmt::print("\n");
  if (result || !said.empty()) conversation_.add(text, said);
  if (!result) return result.error();
  last_ = *result;
  if (arguments_.json) fmt::print("{}\n", dump_json(to_json(*last_, model_)));
  std::fflush(stdout);
  return {};
}

/// False when it is no command.
bool Chat::obey(const Input& input) {
  switch (input.kind) {
    case Input::Kind::say:
      return false;
    case Input::Kind::nothing:
      break;
    case Input::Kind::help:
      fmt::print("{}", chat_help());
      break;
    case Input::Kind::stats:
      fmt::print("{}\n", last_ ? stats_of(*last_) : "there was no answer yet");
      break;
    case Input::Kind::fresh:
      conversation_.forget();
      if (interactive_) fmt::print("a new conversation\n");
      break;
    case Input::Kind::quit:
      ended_ = true;
      break;
    case Input::Kind::unknown: {
      const std::string nearest = nearest_command(input.text);
      (void)print_error({Code::invalid, fmt::format("there is no command {}", input.text),
                         nearest.empty() ? "/help lists them; put a space before a slash to say it"
                                         : fmt::format("did you mean {}?", nearest)});
      break;
    }
  }
  return true;
}

/// What a script would have to know about is the exit code, and the end; a person can go on.
int Chat::take_line(const std::string& line) {
  const Input input = input_from(line);
  if (obey(input)) return 0;
  const auto answered = answer(input.text);
  if (answered) return 0;
  const bool stopped = answered.error().code == Code::interrupted;
  if (interactive_ && stopped) {
    fmt::print("(stopped)\n");
    return 0;
  }
  const int exit_code = print_error(answered.error(), arguments_.json);
  if (interactive_) return 0;
  ended_ = true;
  return exit_code;
}

int Chat::talk() {
  if (interactive_)
    fmt::print("{} at http://{}  (/help lists the commands)\n", printable(model_),
               engine::to_string(address_));
  LineReader reader(STDIN_FILENO);
  int exit_code = 0;
  while (!ended_) {
    const auto line = reader.next(interactive_ ? kPrompt : "");
    if (interactive_ && (!line || !*line)) fmt::print("\n");
    if (!line) {
      const bool by_person = interactive_ && line.error().code == Code::interrupted;
      return by_person ? 0 : print_error(line.error(), arguments_.json);
    }
    if (!*line) break;
    exit_code = take_line(**line);
  }
  return exit_code;
}

int chat_command(const Arguments& arguments) {
  auto address = find_api(arguments);
  if (!address) return print_error(address.error(), arguments.json);
  Chat chat(arguments, std::move(*address));
  if (const auto found = chat.find_model(); !found) return print_error(found.error(), arguments.json);
  if (arguments.prompt.empty()) return chat.talk();
  const auto answered = chat.answer(arguments.prompt);
  return answered ? 0 : print_error(answered.error(), arguments.json);
}

}  // namespace

void add_chat(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("chat", "Talk to the model that is served");
  command->footer(kExamples);
  command->add_option("prompt", arguments->prompt, "One question; without it, lines are read until /quit");
  command->add_option("--api", arguments->api, "Address of the API (default: this device's node)");
  command->add_option("--model", arguments->model, "Name of the model (default: the one that is served)");
  command->add_option("--system", arguments->system, "What the model is told before");
  command->add_option("--max-tokens", arguments->max_tokens, "Longest answer (default: as the server likes)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_flag("--json", arguments->json, "One line of JSON for each answer");
  command->callback([arguments, run]() { run([arguments]() { return chat_command(*arguments); }); });
}

}  // namespace caravan::cli
