// What was said in `caravan chat` so far, and what a line that a person types means. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "cli/chat_stream.h"

namespace caravan::cli {

/// One line from the person.
struct Input {
  enum class Kind { nothing, say, help, stats, fresh, quit, unknown };
  Kind kind = Kind::nothing;
  std::string text;  ///< say: what; unknown: the word that is no command
};

/// A line that begins with a slash is a command; with a space before it, it is said as it is.
Input input_from(std::string_view line);
/// The commands, a line each.
std::string chat_help();
/// Near what was meant, for Kind::unknown.
std::string nearest_command(const std::string& word);

class Conversation {
 public:
  /// `system` may be empty.
  explicit Conversation(std::string system) : system_(std::move(system)) {}

  /// The body of a chat completion that goes on with `text`. `max_tokens` 0: as many as the server likes.
  Json request(const std::string& model, const std::string& text, int max_tokens) const;
  /// What was asked, and what came back, perhaps not all of it.
  void add(std::string text, std::string answer);
  void forget() { turns_.clear(); }
  std::size_t turns() const { return turns_.size(); }

 private:
  struct Turn {
    std::string asked;
    std::string answered;
  };
  std::string system_;
  std::vector<Turn> turns_;
};

/// "57 tokens at 123 tok/s, the first after 0.4 s; 42 tokens of prompt": what the engine does not say is left
/// out.
std::string stats_of(const ChatResult& result);
Json to_json(const ChatResult& result, const std::string& model);

}  // namespace caravan::cli
