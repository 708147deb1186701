#include "plan/explain.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "base/units.h"
#include "plan/draft.h"
#include "plan/layout.h"
#include "plan/tensor.h"

namespace caravan::plan {
namespace {

/// More devices than this are not weighed one by one.
constexpr std::size_t kWeighedDevices = 16;
/// Among more, what one more or less would bring is worked out with the likeliest masters.
constexpr std::size_t kAllMasters = 4;

bool takes_part(const Proposal& proposal, const std::string& device) {
  for (const Plan& plan : proposal.replicas) {
    for (const Share& share : plan.shares) {
      if (share.device == device) return true;
    }
  }
  return false;
}

/// "11 instead of 10 tokens/s"; with decimals where they are needed to see a difference.
std::string instead_of(double then, double now) {
  if (format_token_rate(then) != format_token_rate(now))
    return fmt::format("{} instead of {} tokens/s", format_token_rate(then), format_token_rate(now));
  if (std::abs(then - now) < 0.005 * now) return fmt::format("{} tokens/s, as now", format_token_rate(now));
  return fmt::format("{:.2f} instead of {:.2f} tokens/s", then, now);
}

Bytes minus(Bytes a, Bytes b) { return Bytes{a.count > b.count ? a.count - b.count : 0}; }

/// The best single replica under the same wishes with some devices required or left out. Among several
/// devices with the likeliest masters only, unless nothing fits there.
std::optional<Plan> variant(const LayoutPlanner& planner, const Cluster& cluster, const Wishes& wishes,
                            const Usage& usage, const std::string& with, const std::string& without) {
  LayoutWishes layout;
  layout.usage = usage;
  layout.keep_free = wishes.keep_free;
  for (const DeviceProfile& device : cluster.devices) {
    const auto is_in = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), device.name) != list.end();
    };
    layout.required.push_back(is_in(wishes.use) || device.name == with);
    layout.allowed.push_back(!is_in(wishes.avoid) && device.name != without);
    if (!wishes.masters.empty()) layout.masters.push_back(is_in(wishes.masters));
  }
  layout.few_masters = cluster.devices.size() > kAllMasters;
  auto plan = planner.best(layout);
  if (plan || !layout.few_masters) return plan;
  layout.few_masters = false;
  return planner.best(layout);
}

class Explainer {
 public:
  Explainer(Proposal& proposal, const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes)
      : proposal_(proposal),
        model_(model),
        cluster_(cluster),
        wishes_(wishes),
        usage_(usage_through(proposal.replicas.front(), wishes.data_path)),
        work_(workload_of(model, usage_)),
        planner_(work_, cluster, usage_) {}

  void say_size(const Usage& first_choice) {
    const Plan& plan = proposal_.replicas.front();
    if (plan.shares.size() == 1 && proposal_.replicas.size() == 1) {
      add("{} fits on {} alone: splitting what fits makes it slower, so it is not split", work_.model,
          plan.shares.front().device);
    } else if (proposal_.replicas.size() > 1) {
      add("the model fits {} times: as many replicas answer side by side", proposal_.replicas.size());
    } else {
      add("{} devices carry the model together", plan.shares.size());
    }
    if (plan.context < first_choice.context) {
      add("context {} instead of {}: more does not fit", plan.context, first_choice.context);
    }
    if (plan.kv != model::KvType::f16)
      add("the KV cache is kept as {}: as f16 it would not fit", name_of(plan.kv));
    if (wishes_.first_token_within && proposal_.predicted.first_token > *wishes_.first_token_within) {
      add("the first token after {:.1f} s at best, not {:.1f} s, for a prompt of {} tokens",
          proposal_.predicted.first_token, *wishes_.first_token_within, kReferencePrompt);
    }
  }

  void say_choices() {
    for (Plan& plan : proposal_.replicas) {
      for (Share& share : plan.shares) share.reason = reason_of(plan, share);
    }
    const Plan& plan = proposal_.replicas.front();
    add("{}", plan.speculation.reason);
    if (wishes_.draft)
      add("{}", describe(draft_outlook(model_, *wishes_.draft, cluster_, plan), wishes_.draft->name, plan));
    const bool is_home = cluster_.devices.size() > 1 && cluster_.devices.size() <= kWeighedDevices;
    if (is_home && proposal_.replicas.size() == 1 && usage_.data_path == DataPath::fabric)
      add("{}", describe(tensor_outlook(work_, cluster_, usage_), cluster_, plan));
    if (plan.shares.size() < 2) return;
    const std::string& last = plan.shares.back().device;
    if (plan.data_path == DataPath::fabric) {
      say_fabric(plan, last);
    } else if (plan.head == Head::master) {
      add("the output head stays on {}: on {} it would send {} KB of logits back for every token",
          plan.shares.front().device, last, static_cast<int>(work_.vocabulary * 4 / 1000));
    } else {
      add("the output head goes to {}: the time that saves is more than its logits cost on the way", last);
    }
  }

  void weigh_devices() {
    if (cluster_.devices.size() > kWeighedDevices || proposal_.replicas.size() > 1) {
      for (const DeviceProfile& device : cluster_.devices) {
        if (!takes_part(proposal_, device.name)) proposal_.left_out.push_back({device.name, "not needed"});
      }
      return;
    }
    const double now = proposal_.predicted.decode;
    for (const DeviceProfile& device : cluster_.devices) {
      if (takes_part(proposal_, device.name)) {
        weigh_without(device, now);
      } else {
        proposal_.left_out.push_back({device.name, why_left_out(device, now)});
      }
    }
    weigh_one_more(now);
  }

  void say_fabric(const Plan& plan, const std::string& last) {
    const std::string& master = plan.shares.front().device;
    if (plan.head == Head::master) {
      add("the output head stays on {}, where tokens are chosen; {} sends it {} KB a token", master, last,
          static_cast<int>(work_.width * 4 / 1000));
    } else {
      add("the output head goes to {}, which chooses tokens too and sends them back: faster than on {}", last,
          master);
    }
    add("the fabric hands on from device to device, {} hops a token, and prompts overlap in micro-batches of "
        "{}",
        plan.shares.size(), plan.micro_batch);
  }

 private:
  static Usage usage_through(const Plan& plan, DataPath data_path) {
    Usage usage = usage_of(plan);
    usage.data_path = data_path;  // what others would go through, where this one is of a single device
    return usage;
  }

  template <typename... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    proposal_.reasons.push_back(fmt::format(format, std::forward<Values>(values)...));
  }

  /// Why this number of threads.
  std::string threads_of(const Share& share) const {
    const auto device = std::find_if(cluster_.devices.begin(), cluster_.devices.end(),
                                     [&](const DeviceProfile& one) { return one.name == share.device; });
    std::vector<int> tried{device->threads};
    for (const DeviceSpeed& other : device->with_other_threads) tried.push_back(other.threads);
    std::sort(tried.begin(), tried.end());
    const std::string number = fmt::format("{} thread{}", share.threads, share.threads == 1 ? "" : "s");
    if (!device->is_measured) return number + ", its speed being a guess";
    if (tried.size() == 1) return number + ", the only number that was measured";
    return fmt::format("{}, the fastest for these layers of {} that were measured", number,
                       fmt::join(tried, ", "));
  }

  std::string reason_of(const Plan& plan, const Share& share) const {
    const Bytes left = minus(share.budget, share.total());
    const std::string room = fmt::format("{} of its memory left; {}", format_bytes(left), threads_of(share));
    if (plan.shares.size() == 1) return fmt::format("holds everything, {}", room);
    if (share.rank == 0) return fmt::format("master: tokens start and end here, fastest kernels; {}", room);
    return fmt::format("worker: {} of {} layers; {}", share.layer_count, work_.layers.size(), room);
  }

  std::string why_left_out(const DeviceProfile& device, double now) const {
    if (std::find(wishes_.avoid.begin(), wishes_.avoid.end(), device.name) != wishes_.avoid.end())
      return "to be avoided";
    const auto with = variant(planner_, cluster_, wishes_, usage_, device.name, "");
    if (!with) {
      const bool reachable =
          std::any_of(cluster_.devices.begin(), cluster_.devices.end(), [&](const DeviceProfile& other) {
            return other.name != device.name &&
                   (cluster_.link(other, device) || cluster_.link(device, other));
          });
      if (!reachable && cluster_.devices.size() > 1) return "no other device can reach it";
      return fmt::format("its {} have no room for a layer", format_bytes(device.memory));
    }
    const double then = with->predicted.decode;
    if (then > now * 1.005)
      return fmt::format("{} with it, but a prompt would take longer", instead_of(then, now));
    if (then > now * 0.995) return "would change nothing";
    const std::string needed = "; it is needed only for a larger model";
    if (format_token_rate(then) == format_token_rate(now))
      return fmt::format("would slow you from {:.2f} to {:.2f} tokens/s{}", now, then, needed);
    return fmt::format("would slow you from {} to {} tokens/s{}", format_token_rate(now),
                       format_token_rate(then), needed);
  }

  void weigh_without(const DeviceProfile& device, double now) {
    if (cluster_.devices.size() < 2) return;
    const auto without = variant(planner_, cluster_, wishes_, usage_, "", device.name);
    proposal_.alternatives.push_back(
        {device.name,
         without ? fmt::format("without {}: {}", device.name, instead_of(without->predicted.decode, now))
                 : fmt::format("without {} it does not fit", device.name)});
  }

  /// Another like the device that carries most.
  void weigh_one_more(double now) {
    Cluster larger = cluster_;
    const auto& shares = proposal_.replicas.front().shares;
    const auto most = std::max_element(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
      return a.layer_count < b.layer_count;
    });
    for (const DeviceProfile& device : cluster_.devices) {
      if (device.name != most->device) continue;
      DeviceProfile another = device;
      another.name = "another " + device.name;
      larger.devices.push_back(std::move(another));
      break;
    }
    const LayoutPlanner planner(work_, larger, usage_);
    const auto with = variant(planner, larger, wishes_, usage_, "", "");
    const std::string name = larger.devices.back().name;
    if (!with) return;
    const bool better = with->predicted.decode > now * 1.005;
    proposal_.alternatives.push_back(
        {name, better ? fmt::format("with {}: {}", name, instead_of(with->predicted.decode, now))
                      : fmt::format("{} would not make one conversation faster", name)});
  }

  Proposal& proposal_;
  const model::ModelFacts& model_;
  const Cluster& cluster_;
  const Wishes& wishes_;
  Usage usage_;
  Workload work_;
  LayoutPlanner planner_;
};

}  // namespace

void explain(Proposal& proposal, const model::ModelFacts& model, const Cluster& cluster, const Wishes& wishes,
             const Usage& first_choice) {
  Explainer explainer(proposal, model, cluster, wishes);
  explainer.say_size(first_choice);
  explainer.say_choices();
  explainer.weigh_devices();
}

}  // namespace caravan::plan
