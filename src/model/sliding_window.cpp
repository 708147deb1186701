// Which layers slide: each architecture of llama.cpp v0.5.0 has its own rule (load_arch_hparams in
// src/models/*.cpp, set_swa_pattern in src/llama-hparams.cpp).
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "model/gguf_keys.h"
#include "model/layer_facts.h"

namespace caravan::model {
namespace {

/// What happens when the file has no list of its layers, but at most a period.
struct Rule {
  std::string_view architecture;
  std::uint64_t period = 0;         ///< every so many layers one looks at everything; 0 = the list is needed
  bool whole_first = false;         ///< it is the first of them, not the last
  std::uint64_t window = 0;         ///< when the file has none
  std::uint64_t fixed_window = 0;   ///< whatever the file has
  std::optional<std::size_t> only;  ///< only models of so many layers slide
};

// phi3 is not here: the engine ignores its window.
constexpr std::array<Rule, 25> kRules{{
    {"gemma2", 2, false, 4096},
    {"gemma3", 6},
    {"gemma3n", 5},
    {"gemma4"},
    {"cohere2", 4},
    {"cohere2moe", 4, true},
    {"gpt-oss", 2},
    {"exaone4", 4, false, 4096, 0, 64},
    {"exaone-moe", 4, false, 128},
    {"olmo2", 4},
    {"llama4", 4, false, 8192, 8192},
    {"plamo3", 8},
    {"afmoe", 4},
    {"mellum", 4},
    {"muse-glimmer", 4},
    {"laguna", 4, true},
    {"smallthinker", 4, true, 0, 4096},
    {"step35"},
    {"mimo2"},
    {"maple"},
    {"spark2_5"},
    {"dots3note"},
    {"granite_swa"},
    {"lfm2", 1'000'000},     // all that have attention
    {"lfm2moe", 1'000'000},  // likewise
}};

}  // namespace

std::vector<std::uint64_t> read_windows(const GgufKeys& keys, const std::string& architecture,
                                        std::size_t n_layers) {
  std::vector<std::uint64_t> windows(n_layers, 0);
  const auto* rule = std::find_if(kRules.begin(), kRules.end(),
                                  [&](const Rule& r) { return r.architecture == architecture; });
  if (rule == kRules.end() || (rule->only && *rule->only != n_layers)) return windows;
  const std::string key = architecture + ".attention.sliding_window";
  std::uint64_t window = keys.whole(key).value_or(rule->window);
  if (window > 0 && rule->fixed_window > 0) window = rule->fixed_window;
  if (window == 0) return windows;

  const std::string pattern = key + "_pattern";
  if (keys.length(pattern)) {
    const auto slides = keys.whole_list(pattern, n_layers);
    for (std::size_t i = 0; slides && i < n_layers; ++i) windows[i] = (*slides)[i] != 0 ? window : 0;
    return windows;
  }
  const std::uint64_t period = keys.whole(pattern).value_or(rule->period);
  for (std::size_t i = 0; i < n_layers; ++i) {
    const bool slides = period == 0 || (rule->whole_first ? i % period != 0 : i % period < period - 1);
    windows[i] = slides ? window : 0;
  }
  return windows;
}

}  // namespace caravan::model
