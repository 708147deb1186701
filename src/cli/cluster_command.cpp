#include "cli/cluster_command.h"

#include "app/node.h"

namespace caravan::cli {

app::ClusterClient this_cluster() { return app::ClusterClient(app::control_socket(this_nodes_folder())); }

Result<Json> ask_cluster(const std::string& what, Json body) {
  return run_interruptible(this_cluster().ask(what, std::move(body)));
}

}  // namespace caravan::cli
