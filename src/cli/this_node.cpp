#include "cli/this_node.h"

#include <thread>

#include <fmt/format.h>

#include "app/node.h"
#include "app/node_client.h"
#include "app/node_lock.h"
#include "base/units.h"

namespace caravan::cli {
namespace {

constexpr std::chrono::milliseconds kPause{50};

}  // namespace

fs::path this_nodes_folder() { return caravan_home(); }

Result<cluster::NodeState> state_of_this_node(std::chrono::milliseconds patience) {
  const fs::path folder = this_nodes_folder();
  const app::NodeClient client(app::control_socket(folder));
  const TimePoint deadline = Clock::now() + patience;
  for (;;) {
    const auto holder = app::lock_holder(folder);
    if (!holder) return holder.error();
    if (!*holder) {
      return Error{Code::unavailable, "this device's node is not up",
                   "`caravan up -d` starts it in the background"};
    }
    auto state = run_to_end(client.state());
    if (state) return state;
    if (Clock::now() >= deadline) {
      return Error{
          Code::unavailable,
          fmt::format("this device's node ({}) does not answer: {}", describe(**holder),
                      state.error().message),
          "it may be starting: try again; `caravan logs` shows what it does, `caravan stop` ends it"};
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace caravan::cli
