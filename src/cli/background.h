// Starts this program once more, in the background, and waits until it says that it is up or why it is not.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace caravan::cli {

/// `words` are its command line. It is expected to write one line of JSON to its stdout: {"event": "ready",
/// ...}, which is given back, or {"event": "failed", "error": {...}}, which becomes this error. Anything else
/// that it writes before it ends explains its end. Blocks until then, at most 30 seconds; then, and when
/// Ctrl-C is pressed, it is ended again. After an error it is gone.
Result<Json> start_in_background(const std::vector<std::string>& words);

/// The words that start a node in the background as the one was started whose command line this is, in the
/// format of /proc/PID/cmdline (proc_pid_cmdline(5)); for anything else those of a plain `caravan up`. Pure.
std::vector<std::string> words_to_start_again(std::string_view command_line);
/// The same of a process that still runs. Blocks for one small file.
std::vector<std::string> words_of_node(int pid);
/// Takes an option with one value out of such words ("--name tab" or "--name=tab") and gives its value back.
std::optional<std::string> take_option(std::vector<std::string>& words, std::string_view option);

}  // namespace caravan::cli
