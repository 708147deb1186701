#include "cli/node_arguments.h"

#include <system_error>

#include "base/units.h"
#include "device/memory.h"

namespace caravan::cli {

void add_node_options(CLI::App& command, NodeArguments& arguments) {
  command.add_option("--memory", arguments.memory,
                     "What the engine may use, e.g. 2G (default: what is available)");
  command.add_option("--engine", arguments.engine, "Folder of the engine's programs");
  command.add_option("--port", arguments.port, "Port of the API on 127.0.0.1, 0: any free one")
      ->capture_default_str();
}

Result<app::NodeOptions> node_options(const NodeArguments& arguments) {
  app::NodeOptions options;
  const auto memory = arguments.memory.empty() ? device::usable_memory_now() : parse_bytes(arguments.memory);
  if (!memory) return with_context(memory.error(), "--memory");
  options.memory = *memory;
  options.api = {"127.0.0.1", arguments.port};
  if (!arguments.engine.empty()) {
    std::error_code no_folder;  // ours is gone: then the path stays as it is
    const fs::path absolute = fs::absolute(arguments.engine, no_folder);
    options.engine = no_folder ? arguments.engine : absolute.string();
  }
  return options;
}

std::vector<std::string> words_given(const CLI::App& command, const std::set<std::string>& left_out) {
  std::vector<std::string> words;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (option->count() == 0 || left_out.count(name) > 0) continue;
    const bool is_flag = option->get_items_expected_max() == 0;
    if (is_flag) words.push_back(name);
    if (is_flag) continue;
    for (const std::string& value : option->results()) words.insert(words.end(), {name, value});
  }
  return words;
}

}  // namespace caravan::cli
