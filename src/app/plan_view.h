// A plan as people and programs see it: a replica in the cluster's view (docs/control-api.md). Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cluster/plain_worker.h"
#include "plan/plan.h"

namespace caravan::app {

/// `with_names`: ids replaced by names.
Json describe(const plan::Plan& plan, const std::vector<cluster::PlainWorker>& plain,
              const std::function<std::string(const std::string&)>& with_names);

}  // namespace caravan::app
