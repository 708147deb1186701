#include "cli/conversation.h"

#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace caravan::cli {
namespace {

struct Command {
  std::string_view word;
  Input::Kind kind;
  std::string_view what;
};

constexpr std::array<Command, 4> kCommands{{
    {"/help", Input::Kind::help, "these commands"},
    {"/stats", Input::Kind::stats, "tokens and speed of the last answer"},
    {"/new", Input::Kind::fresh, "forget what was said, and begin again"},
    {"/quit", Input::Kind::quit, "end (or Ctrl-D)"},
}};

Json message(std::string_view role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

}  // namespace

Input input_from(std::string_view line) {
  const std::string text(trim(line));
  if (text.empty()) return {};
  if (line.front() != '/') return {Input::Kind::say, text};
  for (const Command& command : kCommands) {
    if (text == command.word) return {command.kind, ""};
  }
  return {Input::Kind::unknown, text.substr(0, text.find(' '))};
}

std::string chat_help() {
  std::string text;
  for (const Command& command : kCommands) text += fmt::format("  {:<8}{}\n", command.word, command.what);
  return text + "Ctrl-C stops an answer; at the prompt it ends. A space before a slash says it as it is.\n";
}

std::string nearest_command(const std::string& word) {
  std::vector<std::string> words;
  words.reserve(kCommands.size());
  for (const Command& command : kCommands) words.emplace_back(command.word);
  return closest_match(word, words);
}

Json Conversation::request(const std::string& model, const std::string& text, int max_tokens) const {
  Json messages = Json::array();
  if (!system_.empty()) messages.push_back(message("system", system_));
  for (const Turn& turn : turns_) {
    messages.push_back(message("user", turn.asked));
    messages.push_back(message("assistant", turn.answered));
  }
  messages.push_back(message("user", text));
  Json body{{"model", model}, {"messages", std::move(messages)}};
  if (max_tokens > 0) body["max_tokens"] = max_tokens;
  return body;
}

void Conversation::add(std::string text, std::string answer) {
  turns_.push_back({std::move(text), std::move(answer)});
}

std::string stats_of(const ChatResult& result) {
  std::string text = fmt::format("{} tokens", result.completion_tokens);
  if (result.tokens_per_second > 0)
    text += fmt::format(" at {} tok/s", format_token_rate(result.tokens_per_second));
  if (result.first_token.count() > 0)
    text += fmt::format(", the first after {}", format_duration(result.first_token));
  text += fmt::format(", {} in all", format_duration(result.total));
  if (result.prompt_tokens > 0) text += fmt::format("; {} tokens of prompt", result.prompt_tokens);
  if (result.prompt_tokens_per_second > 0)
    text += fmt::format(" at {} tok/s", format_token_rate(result.prompt_tokens_per_second));
  return text;
}

Json to_json(const ChatResult& result, const std::string& model) {
  return {{"model", model},
          {"text", result.text},
          {"finish_reason", result.finish_reason},
          {"prompt_tokens", result.prompt_tokens},
          {"completion_tokens", result.completion_tokens},
          {"prompt_tokens_per_second", result.prompt_tokens_per_second},
          {"tokens_per_second", result.tokens_per_second},
          {"first_token_seconds", result.first_token.count()},
          {"total_seconds", result.total.count()}};
}

}  // namespace caravan::cli
