#include "app/plan_view.h"

#include <utility>

namespace caravan::app {
namespace {

constexpr double kMsInSecond = 1000;

}  // namespace

Json describe(const plan::Plan& plan, const std::vector<cluster::PlainWorker>& plain,
              const std::function<std::string(const std::string&)>& with_names) {
  Json shares = Json::array();
  for (const plan::Share& share : plan.shares) {
    Json told{{"device", share.device},
              {"name", with_names(share.device)},
              {"plain", find_plain(plain, share.device) != nullptr},
              {"rank", share.rank},
              {"first_layer", share.first_layer},
              {"layers", share.layer_count},
              {"memory", share.total().count},
              {"reason", with_names(share.reason)}};
    if (share.compute > 0) told["compute_ms"] = share.compute * kMsInSecond;
    if (share.hop > 0) told["hop_ms"] = share.hop * kMsInSecond;
    shares.push_back(std::move(told));
  }
  Json predicted{{"decode", plan.predicted.decode},
                 {"prefill", plan.predicted.prefill},
                 {"first_token", plan.predicted.first_token},
                 {"load", plan.predicted.load},
                 {"load_again", plan.predicted.load_again}};
  if (plan.predicted.air > 0) predicted["air_ms"] = plan.predicted.air * kMsInSecond;
  return {{"shares", std::move(shares)},
          {"context", plan.context},
          {"parallel", plan.parallel},
          {"predicted", std::move(predicted)}};
}

}  // namespace caravan::app
