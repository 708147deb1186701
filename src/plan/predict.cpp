// What a layout is expected to do: the part of LayoutPlanner that adds up one layout, whatever chose it.
#include <algorithm>

#include "plan/layout.h"

namespace caravan::plan {

bool LayoutPlanner::goes_through_fabric(const std::vector<std::size_t>& devices) const {
  return usage_.data_path == DataPath::fabric && devices.size() > 1;
}

double LayoutPlanner::way_seconds(std::size_t master, std::size_t from, std::size_t to, int tokens) const {
  if (from == master || link(from, to)) return hand_on_seconds(*link(from, to), work_.width, tokens);
  return way_seconds(master, master, from, tokens) + way_seconds(master, master, to, tokens);
}

double LayoutPlanner::step_seconds(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                                   Head head, int tokens) const {
  const bool is_fabric = goes_through_fabric(devices);
  const std::size_t master = devices.front();
  const int all = tokens * usage_.parallel;
  double step = 0;
  std::size_t layer = 0;
  for (std::size_t k = 0; k < devices.size(); ++k) {
    const auto layout = is_fabric || k == 0 ? WeightLayout::repacked : WeightLayout::plain;
    const DeviceSpeed& speed = *costs(devices[k], layout).speed;
    for (int n = 0; n < counts[k]; ++n, ++layer)
      step += decode_seconds(speed, work_.layers[layer], layout, all);
    const bool has_head = head == Head::master ? k == 0 : k + 1 == devices.size();
    if (has_head) step += decode_seconds(speed, work_.head, layout, all);
    if (k == 0) continue;
    if (is_fabric) {
      step += way_seconds(master, devices[k - 1], devices[k], all);
    } else {
      step += hop(master, devices[k], has_head ? work_.vocabulary : work_.width, all);
    }
  }
  if (!is_fabric) return step + sampling_seconds(work_.vocabulary, all);
  if (head == Head::master) step += sampling_seconds(work_.vocabulary, all);
  return step + hand_on_seconds(*link(master, devices.back()), head == Head::master ? work_.width : 1, all);
}

void LayoutPlanner::add_speculation(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                                    SpeculationWish wish, Plan& plan) const {
  Share& at_head = plan.head == Head::master ? plan.shares.front() : plan.shares.back();
  at_head.overhead.count -= work_.guesses.count;
  const Bytes used = at_head.total();
  SpeculationQuestion question;
  question.wish = wish;
  question.step_seconds = [&](int tokens) { return step_seconds(devices, counts, plan.head, tokens); };
  question.parallel = usage_.parallel;
  question.micro_batch = plan.micro_batch;
  question.vocabulary = work_.vocabulary;
  question.room = Bytes{at_head.budget.count - std::min(used.count, at_head.budget.count)};
  question.can_take_back = !work_.recurrent;
  question.worker_samples = goes_through_fabric(devices) && plan.head == Head::last_worker;
  plan.speculation = choose_speculation(question);
  at_head.overhead += memory_of_guesses(work_.vocabulary, usage_.parallel, plan.speculation.draft);
}

Prediction LayoutPlanner::predict_rpc(const std::vector<std::size_t>& devices, const std::vector<int>& counts,
                                      Head head) const {
  Prediction predicted;
  const int micro = micro_batch(DataPath::rpc, head, devices.size());
  double batch_sum = 0;
  double batch_slowest = 0;
  std::size_t layer = 0;
  for (std::size_t k = 0; k < devices.size(); ++k) {
    const bool is_last = k + 1 == devices.size();
    const bool has_head = k == 0 ? head == Head::master : head == Head::last_worker && is_last;
    const DeviceCosts& own = costs(devices[k], k == 0 ? WeightLayout::repacked : WeightLayout::plain);
    double stage = 0;
    for (int n = 0; n < counts[k]; ++n, ++layer) {
      const std::size_t kind = kind_of_layer_[layer];
      stage += micro == kUsualMicroBatch ? own.prefill[kind] : own.small_prefill[kind];
    }
    if (has_head) predicted.first_token += own.head_prefill;
    if (k > 0) stage += hop(devices[0], devices[k], has_head ? 0 : work_.width, micro);
    batch_sum += stage;
    batch_slowest = std::max(batch_slowest, stage);
  }
  // With a tensor override (head on the master) micro-batches go one after the other; without they overlap.
  const double n_batches = static_cast<double>(kReferencePrompt) / micro;
  const bool overlaps = head == Head::last_worker && devices.size() > 1;
  const double prompt = overlaps ? batch_sum + (n_batches - 1) * batch_slowest : n_batches * batch_sum;
  predicted.first_token += prompt;
  predicted.prefill = kReferencePrompt / prompt;
  predicted.decode = usage_.parallel / step_seconds(devices, counts, head, 1);
  return predicted;
}

/// From device to device and back to the master; micro-batches overlap wherever the head is.
Prediction LayoutPlanner::predict_fabric(const std::vector<std::size_t>& devices,
                                         const std::vector<int>& counts, Head head) const {
  Prediction predicted;
  const std::size_t master = devices.front();
  const std::size_t last = devices.back();
  const Link back = *link(master, last);
  double fill = 0;
  double slowest = 0;
  std::size_t layer = 0;
  for (std::size_t k = 0; k < devices.size(); ++k) {
    const DeviceCosts& own = costs(devices[k], WeightLayout::repacked);
    double stage = 0;
    for (int n = 0; n < counts[k]; ++n, ++layer) stage += own.small_prefill[kind_of_layer_[layer]];
    fill += stage;
    if (k > 0) {
      const double hop = hand_on(master, devices[k - 1], devices[k], 0).cost;
      predicted.air += hop - back.handling;  // every way has the same
      fill += way_seconds(master, devices[k - 1], devices[k], kOverlappingMicroBatch);
      stage += hand_on(master, devices[k - 1], devices[k], 0).load;
    }
    slowest = std::max(slowest, stage);
  }
  const double floats = head == Head::master ? work_.width : 1;
  const DeviceCosts& at_head = costs(head == Head::master ? master : last, WeightLayout::repacked);
  predicted.air += hand_on_seconds(back, floats, usage_.parallel) - back.handling;
  fill += hand_on_seconds(back, floats, 1);
  const double n_batches = static_cast<double>(kReferencePrompt) / kOverlappingMicroBatch;
  const double prompt = fill + (n_batches - 1) * slowest;
  predicted.first_token = prompt + at_head.head_prefill;
  predicted.prefill = kReferencePrompt / prompt;
  predicted.decode = usage_.parallel / step_seconds(devices, counts, head, 1);
  return predicted;
}

Plan LayoutPlanner::predicted(Plan plan) const {
  std::vector<std::size_t> devices;
  std::vector<int> counts;
  devices.reserve(plan.shares.size());
  counts.reserve(plan.shares.size());
  for (Share& share : plan.shares) {
    devices.push_back(devices.size());
    counts.push_back(share.layer_count);
    share.compute = share.hop = 0;
  }
  plan.predicted = predict(devices, counts, plan.head);
  if (goes_through_fabric(devices)) predict_shares(devices, plan);
  return plan;
}

/// What `caravan trace` compares with: each share's part of a step of decode in the fabric.
void LayoutPlanner::predict_shares(const std::vector<std::size_t>& devices, Plan& plan) const {
  std::size_t layer = 0;
  for (std::size_t k = 0; k < plan.shares.size(); ++k) {
    Share& share = plan.shares[k];
    const DeviceCosts& own = costs(devices[k], WeightLayout::repacked);
    for (int n = 0; n < share.layer_count; ++n, ++layer) share.compute += own.decode[kind_of_layer_[layer]];
    if (k == 0) continue;
    if (k + 1 == plan.shares.size() && plan.head == Head::last_worker) share.compute += own.head_decode;
    share.hop = hand_on(devices.front(), devices[k - 1], devices[k], 0).cost;
  }
}

}  // namespace caravan::plan
