#include "cluster/controller.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace caravan::cluster {
namespace {

/// A failure that is only the consequence of another one ("lost its worker") is the cause when nothing else
/// is known.
const Error& root_cause(const std::vector<Error>& failures) {
  for (const Error& failure : failures) {
    if (failure.code != Code::disconnected) return failure;
  }
  return failures.front();
}

/// Nothing when the engine's own log shows exactly the planned layers on each rank.
std::optional<Error> departure_from(const plan::Plan& plan, const std::vector<ObservedLayers>& observed) {
  for (const plan::Share& share : plan.shares) {
    std::vector<int> planned(static_cast<std::size_t>(share.layer_count));
    std::iota(planned.begin(), planned.end(), share.first_layer);
    const auto seen = std::find_if(observed.begin(), observed.end(),
                                   [&](const ObservedLayers& entry) { return entry.rank == share.rank; });
    if (seen != observed.end() && seen->layers == planned) continue;
    if (seen == observed.end() && planned.empty()) continue;
    return Error{Code::incompatible,
                 fmt::format("the engine put layers [{}] on {}, planned were {} from layer {}",
                             seen == observed.end() ? "" : fmt::format("{}", fmt::join(seen->layers, ",")),
                             share.device, share.layer_count, share.first_layer),
                 "this engine splits models in another way: use the one that `./run build` makes"};
  }
  return std::nullopt;
}

}  // namespace

Controller::Controller(Deployment deployment, Order order, TimePoint now)
    : deployment_(std::move(deployment)), order_(order), stage_deadline_(now + kWorkerStart) {
  for (const plan::Share& share : deployment_.plan.shares) {
    members_.emplace(share.device,
                     Member{&share, find_plain(deployment_.plain, share.device), std::nullopt, now});
  }
}

std::vector<Action> Controller::on(const Event& event, TimePoint now) {
  Actions actions;
  if (!begun_) {
    begun_ = true;
    for (const plan::Share& share : deployment_.plan.shares) {
      if (share.rank > 0 && members_.at(share.device).plain == nullptr)
        actions.push_back(Assign{share.device, assignment_for(share)});
    }
  }
  std::visit([&](const auto& typed) { handle(typed, now, actions); }, event);
  return actions;
}

std::optional<TimePoint> Controller::next_deadline() const {
  if (stage_ == Stage::ended) return std::nullopt;
  std::optional<TimePoint> next;
  if (stage_ != Stage::serving) next = stage_deadline_;
  for (const auto& [device, member] : members_) {
    if (member.gone || member.plain != nullptr) continue;
    const TimePoint lost = member.last_seen + kNodeSilence;
    next = next ? std::min(*next, lost) : lost;
  }
  return next;
}

void Controller::handle(const StateReported& event, TimePoint now, Actions& actions) {
  const auto found = members_.find(event.state.device);
  if (found == members_.end() || found->second.gone) return;
  Member& member = found->second;
  member.last_seen = now;
  if (event.state.order != order_) return;  // still about an order that was replaced
  member.state = event.state;
  if (event.state.phase == Phase::failed && event.state.error) {
    note_failure(*event.state.error, now);
  }
  advance(now, actions);
}

void Controller::handle(const NodeGone& event, TimePoint now, Actions& actions) {
  const auto found = members_.find(event.device);
  if (found == members_.end() || found->second.gone) return;
  found->second.gone = true;
  note_failure(event.reason, now);
  advance(now, actions);
}

void Controller::handle(const StopAsked& /*event*/, TimePoint now, Actions& actions) {
  if (stage_ == Stage::stopping || stage_ == Stage::ended) return;
  begin_stopping(now, actions);
}

void Controller::handle(const Tick& /*event*/, TimePoint now, Actions& actions) {
  expire(now);
  if (stage_ == Stage::failing && now >= stage_deadline_) begin_stopping(now, actions);
  advance(now, actions);
}

void Controller::expire(TimePoint now) {
  for (auto& [device, member] : members_) {
    if (member.gone || member.plain != nullptr || now < member.last_seen + kNodeSilence) continue;
    member.gone = true;
    note_failure(
        Error{Code::unavailable, fmt::format("{} has not answered for {} s", device, kNodeSilence.count()),
              "is its process stopped, or the device asleep?"},
        now);
  }
  if (now < stage_deadline_) return;
  if (stage_ == Stage::starting_workers) {
    for (const auto& [device, member] : members_) {
      if (is_started(member)) continue;
      note_failure(
          Error{Code::unavailable,
                fmt::format("{}'s RPC server did not start within {} s", device, kWorkerStart.count()),
                "look into its engine log"},
          now);
      return;
    }
  } else if (stage_ == Stage::loading) {
    note_failure(
        Error{Code::unavailable, fmt::format("loading made no progress for {} s", kLoadSilence.count()),
              "a worker may be frozen: try again, or leave it out"},
        now);
  }
}

void Controller::note_failure(Error error, TimePoint now) {
  if (stage_ == Stage::stopping || stage_ == Stage::ended) return;
  failures_.push_back(std::move(error));
  if (stage_ == Stage::failing) return;
  stage_ = Stage::failing;
  stage_deadline_ = now + kSettle;
}

bool Controller::is_started(const Member& member) {
  if (member.share->rank == 0 || member.plain != nullptr) return true;
  return member.state && member.state->phase == Phase::ready && member.state->rpc_port > 0;
}

bool Controller::all_workers_ready() const {
  return std::all_of(members_.begin(), members_.end(),
                     [](const auto& entry) { return is_started(entry.second); });
}

Controller::Member& Controller::master() { return members_.at(deployment_.plan.shares.front().device); }

void Controller::advance(TimePoint now, Actions& actions) {
  if (stage_ == Stage::starting_workers && all_workers_ready()) {
    stage_ = Stage::loading;
    stage_deadline_ = now + kLoadSilence;
    const plan::Share& share = *master().share;
    actions.push_back(Assign{share.device, assignment_for(share)});
  } else if (stage_ == Stage::loading && master().state) {
    const NodeState& state = *master().state;
    if (state.progress > last_progress_) stage_deadline_ = now + kLoadSilence;
    last_progress_ = std::max(last_progress_, state.progress);
    if (state.phase != Phase::ready) return;
    if (auto departure = departure_from(deployment_.plan, state.observed)) {
      note_failure(std::move(*departure), now);
      return;
    }
    stage_ = Stage::serving;
    actions.push_back(Serving{state.device, state.api});
  } else if (stage_ == Stage::stopping) {
    end_if_stopped(now, actions);
  }
}

void Controller::begin_stopping(TimePoint now, Actions& actions) {
  stage_ = Stage::stopping;
  stage_deadline_ = now + kStop;
  ++order_.generation;
  for (auto& [device, member] : members_) member.state.reset();
  const Member& first = master();
  if (!first.gone) actions.push_back(Assign{first.share->device, Assignment{order_, Role::idle}});
  end_if_stopped(now, actions);
}

void Controller::end_if_stopped(TimePoint now, Actions& actions) {
  const auto stopped = [](const Member& member) {
    return member.gone || member.plain != nullptr || (member.state && member.state->phase == Phase::idle);
  };
  const bool late = now >= stage_deadline_;
  if (!late && !stopped(master())) return;
  for (auto& [device, member] : members_) {
    if (member.share->rank == 0 || member.gone || member.plain != nullptr) continue;
    if (std::exchange(member.told_to_stop, true)) continue;
    actions.push_back(Assign{device, Assignment{order_, Role::idle}});
  }
  const bool all =
      std::all_of(members_.begin(), members_.end(), [&](const auto& entry) { return stopped(entry.second); });
  if (!all && !late) return;
  stage_ = Stage::ended;
  actions.push_back(Ended{failures_.empty() ? std::nullopt : std::optional<Error>(root_cause(failures_))});
}

/// Where the rank before it reaches a worker; the master's node knows the way to rank 1 itself.
std::string Controller::peer_of(const plan::Share& share) const {
  if (deployment_.data_path != DataPath::fabric || share.rank < 2) return "";
  const auto& before = deployment_.plan.shares[static_cast<std::size_t>(share.rank) - 1].device;
  const int port = deployment_.is_one_machine ? members_.at(share.device).state->rpc_port
                                              : members_.at(before).state->hand_off_port;
  return port > 0 ? fmt::format("127.0.0.1:{}", port) : "";
}

Assignment Controller::assignment_for(const plan::Share& share) const {
  Assignment assignment;
  assignment.order = order_;
  assignment.role = share.rank == 0 ? Role::master : Role::worker;
  assignment.rank = share.rank;
  assignment.threads = share.threads > 0 ? share.threads : deployment_.threads;
  assignment.data_path = deployment_.data_path;
  const auto rank = static_cast<std::size_t>(share.rank);
  const auto& shares = deployment_.plan.shares;
  const bool hands_on = deployment_.data_path == DataPath::fabric && !deployment_.is_one_machine;
  if (share.rank > 0 && hands_on && rank + 1 < shares.size()) assignment.next = shares[rank + 1].device;
  if (share.rank > 0) return assignment;
  assignment.model_path = deployment_.model_path;
  assignment.model_name = deployment_.model_name;
  assignment.context = deployment_.plan.context;
  assignment.parallel = deployment_.plan.parallel;
  assignment.micro_batch = deployment_.plan.micro_batch;
  if (deployment_.plan.kv != model::KvType::f16) assignment.kv_type = model::name_of(deployment_.plan.kv);
  assignment.lookup = deployment_.plan.speculation.lookup;
  assignment.draft = deployment_.plan.speculation.draft;
  assignment.wire = deployment_.wire;
  assignment.head_on_last_worker = deployment_.plan.head == plan::Head::last_worker;
  for (const plan::Share& other : deployment_.plan.shares) {
    assignment.layers.push_back(other.layer_count);
    if (other.rank == 0) continue;
    const Member& worker = members_.at(other.device);
    if (worker.plain != nullptr) {
      assignment.workers.push_back(
          {other.device, other.rank, worker.plain->host, worker.plain->port, other.weights, true});
    } else {
      assignment.workers.push_back({other.device, other.rank, "127.0.0.1", worker.state->rpc_port,
                                    other.weights, false, worker.state->worker_key, peer_of(other)});
    }
  }
  return assignment;
}

}  // namespace caravan::cluster
