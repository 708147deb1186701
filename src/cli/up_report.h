// What `caravan up` says while its node runs, each thing to whoever looks: a terminal, a file, a program, the
// command that put it into the background. All of it is in the node's log as well.
#pragma once

#include <string>

#include "app/node.h"
#include "base/files.h"
#include "base/json.h"
#include "base/result.h"
#include "cli/print.h"
#include "cluster/messages.h"

namespace caravan::cli {

class UpReport {
 public:
  enum class Reader { terminal, lines, json, starter };

  UpReport(Reader reader, fs::path state_folder);

  /// `text` for people; the reader `json` gets it as a note.
  void note(const std::string& text);
  void ready(const app::NodeOptions& options, const std::string& api, bool wake_lock);
  void state(const cluster::NodeState& state);
  /// It could not be started.
  int failed(const Error& error);
  void ended();

 private:
  void event(const Json& facts);

  Reader reader_;
  fs::path state_folder_;
  LiveBlock view_{stdout};
  cluster::NodeState told_;
};

}  // namespace caravan::cli
