#include "cli/recommend_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace caravan::cli {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kIndent = 4;

/// `text` in lines of at most kColumns, each indented; words longer than a line stay whole.
std::string wrapped(std::string_view text, std::size_t indent) {
  const std::string margin(indent, ' ');
  std::string lines;
  std::string line;
  for (const std::string& word : split(text, ' ')) {
    if (!line.empty() && indent + line.size() + 1 + word.size() > kColumns) {
      lines += margin + line + "\n";
      line.clear();
    }
    line += line.empty() ? word : " " + word;
  }
  return lines + margin + line + "\n";
}

Bytes offered_by(const plan::Cluster& cluster) {
  Bytes sum;
  for (const plan::DeviceProfile& device : cluster.devices) sum += device.memory;
  return sum;
}

std::string heading(const plan::Recommendations& found, const plan::Cluster& cluster,
                    const plan::RecommendWishes& wishes) {
  const std::size_t n = cluster.devices.size();
  std::string text =
      fmt::format("Models for {} with {} of memory, for {}, context {}, at least {} tokens/s",
                  n == 1 ? printable(cluster.devices.front().name) : fmt::format("{} devices", n),
                  format_bytes(offered_by(cluster)), name_of(wishes.objective), wishes.context,
                  format_token_rate(found.least_speed));
  const bool is_guess = std::any_of(cluster.devices.begin(), cluster.devices.end(),
                                    [](const plan::DeviceProfile& device) { return !device.is_measured; });
  if (is_guess) text += " (speeds are partly guessed from the kind of device)";
  return wrapped(text, 0);
}

/// Of the file itself where the catalogue knows it, else estimated.
Bytes download_of(const plan::Recommendation& made, const std::optional<PullLine>& pull) {
  return pull && pull->is_exact ? pull->size : made.download;
}

std::string row_of(std::size_t number, const plan::Recommendation& made, Bytes download,
                   std::size_t devices) {
  return fmt::format("{:>2}  {:<18}{:<8}{:>10}{:>10}{:>11}{:>11}{:>11}\n", number, made.title,
                     made.quantization, format_token_rate(made.speed),
                     format_token_rate(made.proposal.predicted.prefill), format_bytes(made.memory),
                     format_bytes(download), fmt::format("{} of {}", made.devices, devices));
}

std::string how_to_get(const plan::Recommendation& made, const std::optional<PullLine>& pull) {
  if (!pull) return fmt::format("not in the catalogue: get a GGUF of {}", made.source);
  if (pull->is_exact) return pull->command;
  return fmt::format("{}  (that is {}; {}: get a GGUF of {})", pull->command, pull->quantization,
                     made.quantization, made.source);
}

std::string left_out_text(const plan::Recommendations& found) {
  return wrapped(
      fmt::format("{} models known; {} do not fit, {} would answer at less than {} tokens/s", found.known,
                  found.too_large, found.too_slow, format_token_rate(found.least_speed)),
      0);
}

std::string next_text(const plan::NextLarger& next) {
  return fmt::format("\nThe next larger model: {} as {}, {} to download\n", next.title, next.quantization,
                     format_bytes(next.download)) +
         wrapped(printable(next.needs), kIndent) +
         (next.cure.empty() ? "" : wrapped("cure: " + printable(next.cure), kIndent));
}

Json devices_json(const plan::Recommendation& made) {
  Json names = Json::array();
  for (const plan::Plan& replica : made.proposal.replicas) {
    for (const plan::Share& share : replica.shares) names.push_back(share.device);
  }
  return names;
}

Json tried_json(const plan::Recommendation& made) {
  Json all = Json::array();
  for (const plan::Tried& each : made.tried) {
    all.push_back({{"quantization", each.quantization},
                   {"download", each.download.count},
                   {"fits", each.fits},
                   {"tokens_per_second", each.speed}});
  }
  return all;
}

Json recommendation_json(const plan::Recommendation& made, const model::Catalogue& catalogue) {
  const auto pull = pull_line(made, catalogue);
  const plan::Prediction& predicted = made.proposal.predicted;
  return {{"name", made.name},
          {"title", made.title},
          {"quantization", made.quantization},
          {"licence", made.licence},
          {"source", made.source},
          {"parameters", made.parameters},
          {"tokens_per_second", made.speed},
          {"tokens_per_second_of_all", predicted.decode},
          {"prompt_tokens_per_second", predicted.prefill},
          {"first_token_seconds", predicted.first_token},
          {"load_seconds", predicted.load},
          {"memory", made.memory.count},
          {"download", download_of(made, pull).count},
          {"context", made.proposal.replicas.front().context},
          {"replicas", made.proposal.replicas.size()},
          {"devices", devices_json(made)},
          {"quality", made.quality},
          {"why", made.why},
          {"quantizations", tried_json(made)},
          {"pull", pull ? Json(pull->command) : Json()},
          {"pull_quantization", pull ? Json(pull->quantization) : Json()}};
}

}  // namespace

std::string_view name_of(plan::Objective objective) {
  switch (objective) {
    case plan::Objective::latency:
      return "latency";
    case plan::Objective::throughput:
      return "throughput";
    case plan::Objective::fit:
      return "fit";
  }
  return "";
}

std::optional<PullLine> pull_line(const plan::Recommendation& found, const model::Catalogue& catalogue) {
  const model::CatalogueEntry* entry = catalogue.find(found.name);
  if (entry == nullptr) return std::nullopt;
  return PullLine{"caravan models pull " + entry->name, entry->quantization, entry->size,
                  entry->quantization == found.quantization};
}

std::string recommend_text(const plan::Recommendations& found, const plan::Cluster& cluster,
                           const plan::RecommendWishes& wishes, const model::Catalogue& catalogue) {
  std::string text = heading(found, cluster, wishes);
  text += fmt::format("\n{:>2}  {:<18}{:<8}{:>10}{:>10}{:>11}{:>11}{:>11}\n", "", "MODEL", "QUANT",
                      "TOKENS/S", "PROMPT/S", "MEMORY", "DOWNLOAD", "DEVICES");
  std::size_t number = 1;
  for (const plan::Recommendation& made : found.best) {
    const auto pull = pull_line(made, catalogue);
    text += row_of(number++, made, download_of(made, pull), cluster.devices.size());
    text += wrapped(printable(join(made.why, "; ")), kIndent);
    text += wrapped(printable(how_to_get(made, pull)), kIndent);
  }
  text += "\n" + left_out_text(found);
  if (found.next) text += next_text(*found.next);
  return text;
}

Json recommend_json(const plan::Recommendations& found, const plan::Cluster& cluster,
                    const plan::RecommendWishes& wishes, const model::Catalogue& catalogue) {
  Json models = Json::array();
  for (const plan::Recommendation& made : found.best) models.push_back(recommendation_json(made, catalogue));
  Json next;
  if (found.next) {
    next = {{"name", found.next->name},
            {"title", found.next->title},
            {"quantization", found.next->quantization},
            {"download", found.next->download.count},
            {"needs", found.next->needs},
            {"cure", found.next->cure}};
  }
  return {{"objective", name_of(wishes.objective)},
          {"context", wishes.context},
          {"least_tokens_per_second", found.least_speed},
          {"memory", offered_by(cluster).count},
          {"models", models},
          {"next_larger", next},
          {"known", found.known},
          {"too_large", found.too_large},
          {"too_slow", found.too_slow}};
}

}  // namespace caravan::cli
