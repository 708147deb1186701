// Which model a request means, and which of several replicas of it that goes to: the one with the shortest
// expected wait, which is shorter where the KV cache already holds the beginning of the prompt. Pure: told
// the time.
//
// What a replica holds is not asked but remembered: it is what this gateway has sent there. The idea, and
// that the wait for others is weighed against it, is that of prefix-aware routers: SGLang's cache-aware load
// balancer (v0.4, lmsys.org/blog/2024-12-04-sglang-v0-4) and the prefix scorer of the inference gateway that
// llm-d uses. Here both are seconds, by the rates that the plan predicts. See docs/decisions/0012.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "cluster/messages.h"
#include "gateway/prompt_prefix.h"

namespace caravan::app {

/// Of the models that are served, the one that a request means which names `asked`: the only one whatever the
/// name, the first when there is no name. Nothing for an unknown name among several, and when none is served.
std::optional<std::string> model_meant(const std::vector<std::string>& served, const std::string& asked);

/// What the plan says of a replica.
struct ReplicaFigures {
  int slots = 1;       ///< sequences at once; each keeps one prompt in the cache
  double decode = 0;   ///< tokens/s, of all sequences together; 0: not known
  double prefill = 0;  ///< tokens/s; 0: not known
};

/// By the master's device, from a deployment as the controller tells it (docs/control-api.md), or from an
/// object with several as `deployments`. Unknown and wrong fields are left at what they are above.
std::map<std::string, ReplicaFigures> replica_figures(const Json& deployment);

/// A replica at the moment of a request.
struct ReplicaOffer {
  std::string device;    ///< its master
  cluster::Order order;  ///< of its engine: another one begins with an empty cache
  int busy = 0;          ///< requests that the master's own gateway is passing on; of this device 0
  bool is_here = false;
  ReplicaFigures figures;
};

/// One event loop. The counts are shared with the leases, which may outlive this.
class ReplicaChoice {
 public:
  static constexpr std::size_t kMostPrompts = 32;   ///< remembered of a replica
  static constexpr std::size_t kMostReplicas = 64;  ///< remembered at all
  static constexpr std::chrono::minutes kRemembered{
      30};  ///< a conversation that has not gone on since is over

  /// Seconds until a request with this prompt would be answered there, as far as its place decides.
  double expected(const ReplicaOffer& offer, const gateway::PromptPrefix& prompt, TimePoint now) const;

  /// The one with the least expected(); of several the one that was chosen the longest ago. `offers` is not
  /// empty.
  std::size_t choose(const std::vector<ReplicaOffer>& offers, const gateway::PromptPrefix& prompt,
                     TimePoint now) const;

  /// Counts a request that goes there until the lease is gone, and remembers its prompt.
  std::shared_ptr<void> lease(const ReplicaOffer& offer, const gateway::PromptPrefix& prompt, TimePoint now);
  /// Its engine has told how many requests it works on or has waiting, whoever sent them. That was some
  /// seconds ago: as many as this gateway had there at once since the report before the last are taken for
  /// its own.
  void reported(const std::string& device, int requests);
  void forget(const std::string& device) { used_.erase(device); }

 private:
  struct Remembered {
    gateway::PromptPrefix prompt;
    TimePoint at;
  };
  struct Use {
    int requests = 0;
    int most = 0;         ///< of these at once, since the last report
    int most_before = 0;  ///< between the two last reports
    int others = 0;       ///< requests there that are not this gateway's
    std::size_t turn = 0;
    cluster::Order order;
    std::deque<Remembered> prompts;  ///< the newest first
  };
  Use& use_of(const std::string& device);
  std::vector<const Remembered*> held(const ReplicaOffer& offer, TimePoint now) const;

  std::map<std::string, std::shared_ptr<Use>> used_;
  std::size_t turn_ = 0;
};

}  // namespace caravan::app
