// Plain workers as a person names them: each is asked what it offers before it becomes part of a wish.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/plain_worker.h"

namespace caravan::cli {

/// Addresses as of peer_address, of RPC servers. Blocks, some seconds for each that does not answer; Ctrl-C
/// ends it with Code::interrupted. An error names the worker and the cure.
Result<std::vector<cluster::PlainWorker>> plain_offers(const std::vector<std::string>& addresses);

}  // namespace caravan::cli
