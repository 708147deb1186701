// Which model a request means, and which of several replicas of it that goes to. Pure.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace caravan::app {

/// Of the models that are served, the one that a request means which names `asked`: the only one whatever the
/// name, the first when there is no name. Nothing for an unknown name among several, and when none is served.
std::optional<std::string> model_meant(const std::vector<std::string>& served, const std::string& asked);

/// A replica as its master reports it.
struct ReplicaOffer {
  std::string device;  ///< its master
  int busy = 0;        ///< requests that the master's own gateway is passing on
  bool is_here = false;
};

/// One event loop. The counts are shared with the leases, which may outlive this.
class ReplicaChoice {
 public:
  /// The one with the fewest requests; of several the one on this device, then the one that was chosen the
  /// longest ago. `offers` is not empty.
  std::size_t choose(const std::vector<ReplicaOffer>& offers) const;
  /// Counts a request that goes there until the lease is gone.
  std::shared_ptr<void> lease(const std::string& device);
  void forget(const std::string& device) { used_.erase(device); }

 private:
  struct Use {
    int requests = 0;
    std::size_t turn = 0;
  };
  std::map<std::string, std::shared_ptr<Use>> used_;
  std::size_t turn_ = 0;
};

}  // namespace caravan::app
