#include "cli/speculation_option.h"

namespace caravan::cli {

void add_speculation_option(CLI::App& command, std::string& speculation) {
  command
      .add_option("--speculation", speculation,
                  "Guess tokens ahead from what the text has said before, to check several in one step: auto "
                  "(where that is faster), ngram (always) or none")
      ->check(CLI::IsMember({"auto", "none", "ngram"}))
      ->capture_default_str();
}

}  // namespace caravan::cli
