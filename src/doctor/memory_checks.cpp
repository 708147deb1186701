#include "doctor/memory_checks.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "device/android.h"
#include "device/source.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{8};
/// The program, the context of one conversation and the buffers of a small model, roughly; what a model needs
/// exactly `caravan models info` says.
constexpr Bytes kBesideWeights = mebibytes(160);
/// Swap that is nearly used up means that the next page has to come from somewhere: from a process that is
/// killed.
constexpr double kMuchSwap = 0.8;
constexpr double kLittleMemory = 0.15;  // of all, still available

std::vector<std::string> ways_to_more_memory(bool android) {
  if (android)
    return {"close other apps, or restart the phone", "caravan models recommend    # which models suit it"};
  return {"end other programs: ps aux --sort=-rss | head"};
}

double share(Bytes part, Bytes whole) {
  return whole.count == 0 ? 0 : static_cast<double>(part.count) / static_cast<double>(whole.count);
}

std::optional<Bytes> kibibytes(std::string_view meminfo, std::string_view key) {
  const auto value = device::value_after(meminfo, key);
  const auto number =
      value ? device::parse_integer(std::string_view(*value).substr(0, value->find(' '))) : std::nullopt;
  if (!number || *number < 0 || *number > (std::int64_t{1} << 50U)) return std::nullopt;
  return Bytes{static_cast<std::uint64_t>(*number) * 1024};
}

}  // namespace

std::optional<SwapFacts> parse_swap(std::string_view meminfo) {
  const auto total = kibibytes(meminfo, "SwapTotal:");
  const auto free = kibibytes(meminfo, "SwapFree:");
  if (!total || !free || *total == Bytes{} || *free > *total) return std::nullopt;
  return SwapFacts{*total, *free};
}

Finding memory_for_models(const MemoryState& state) {
  if (!state.memory.policy.usable) return skipped(state.memory.policy.reason);
  if (!state.catalogue) return skipped(state.catalogue.error().message);
  const Bytes usable = *state.memory.policy.usable;
  const model::CatalogueEntry* smallest = nullptr;
  const model::CatalogueEntry* largest_that_fits = nullptr;
  for (const model::CatalogueEntry& entry : state.catalogue->entries()) {
    if (smallest == nullptr || entry.size < smallest->size) smallest = &entry;
    const bool fits = entry.size + kBesideWeights <= usable;
    if (fits && (largest_that_fits == nullptr || largest_that_fits->size < entry.size))
      largest_that_fits = &entry;
  }
  if (smallest == nullptr) return skipped("the catalogue is empty");
  if (largest_that_fits != nullptr) {
    return ok(
        fmt::format("{} for a model: room for {} alone", format_bytes(usable), largest_that_fits->name));
  }
  return {Status::problem,
          fmt::format("{} for a model; the smallest of the catalogue, {}, needs about {}",
                      format_bytes(usable), smallest->name, format_bytes(smallest->size + kBesideWeights)),
          fmt::format("this device can only carry some layers of a model: {}", state.memory.policy.reason),
          ways_to_more_memory(state.android)};
}

Finding memory_limit(const MemoryState& state) {
  const auto& group = state.memory.cgroup;
  if (!group) return ok("no limit below what the device has");
  const bool decides = state.memory.available && group->room() < *state.memory.available;
  const std::string limit = fmt::format("a container or service limit of {}", format_bytes(group->limit));
  if (!decides) return ok(limit + " is not what decides");
  return {
      Status::note,
      limit + (state.memory.total ? fmt::format(", of {} in all", format_bytes(*state.memory.total)) : ""),
      "a model gets no more than that, however much the device has",
      {"docker update --memory 8g --memory-swap 8g CONTAINER",
       "or, of a service: systemctl set-property SERVICE MemoryMax=8G"}};
}

Finding memory_swap(const MemoryState& state) {
  if (!state.swap) return ok("no swap");
  const Bytes used{state.swap->total.count - state.swap->free.count};
  const std::string text =
      fmt::format("{} of {} swap in use", format_bytes(used), format_bytes(state.swap->total));
  const bool full = share(used, state.swap->total) > kMuchSwap;
  const auto& memory = state.memory;
  const bool short_of_memory =
      memory.total && memory.available && share(*memory.available, *memory.total) < kLittleMemory;
  if (!full) return ok(text);
  if (!short_of_memory) return ok(text + ", and enough memory besides");
  return {Status::warning,
          fmt::format("{}, and only {} of memory are left", text, format_bytes(*memory.available)),
          "a model that is swapped out answers ten times slower, or the system ends it",
          ways_to_more_memory(state.android)};
}

MemoryState read_memory_state(const fs::path& root) {
  device::HiddenFacts hidden;  // what is hidden shows as a fact that is not there
  const auto meminfo = device::read_text(root / "proc/meminfo");
  return {device::read_memory(root, hidden), meminfo ? parse_swap(*meminfo) : std::nullopt,
          model::load_catalogue(), device::is_android(root)};
}

Step memory_step(fs::path root) {
  return make_step<MemoryState>({{{"memory", "room for a model of the catalogue"}, memory_for_models},
                                 {{"memory-limit", "limits of a container or service"}, memory_limit},
                                 {{"swap", "memory that is swapped out"}, memory_swap}},
                                kLimit, [root = std::move(root)] { return read_memory_state(root); });
}

}  // namespace caravan::doctor
