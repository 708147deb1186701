// What each layer of a model keeps for every token or sequence, and how wide what it computes is: the numbers
// that memory depends on besides weights. Read as llama.cpp v0.5.0 reads them (src/llama-hparams.cpp,
// load_arch_hparams in src/models/*.cpp). Must not know devices.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"

namespace caravan::model {

class GgufKeys;
struct GgufTensor;

/// Widths are numbers of values for one token; zero where a layer has no such thing.
struct LayerFacts {
  Bytes experts;  ///< part of the layer's weights that are experts: a token reads only those that it uses

  std::uint64_t key_width = 0;    ///< in the KV cache; of MLA, the compressed vector with its position
  std::uint64_t value_width = 0;  ///< in the KV cache; MLA has none of its own
  std::uint64_t key_length = 0;   ///< of one head
  std::uint64_t window = 0;       ///< of sliding attention, in tokens; 0 = the whole context
  std::uint64_t state = 0;        ///< 4-byte values that a recurrent layer keeps for each sequence

  std::uint64_t heads = 0;                ///< of queries
  std::uint64_t query_width = 0;          ///< all heads
  std::uint64_t latent_width = 0;         ///< of MLA: what is compressed, without the position
  std::uint64_t feed_forward = 0;         ///< all its steps (gate, up, down), dense and of shared experts
  std::uint64_t expert_feed_forward = 0;  ///< the same of one expert
  std::uint64_t experts_used = 0;
  std::uint64_t projection = 0;   ///< what a recurrent layer makes of its input
  std::uint64_t convolution = 0;  ///< channels of its convolution
  std::uint64_t inner = 0;        ///< width of its result
  bool norms_after = false;       ///< also normalises what comes out of attention and feed-forward

  bool has_attention() const { return key_width > 0; }
  bool is_recurrent() const { return state > 0; }
};

/// What the keys and tensors say. Empty when they contradict themselves or are beyond any model: then nothing
/// is known.
std::vector<LayerFacts> read_layer_facts(const GgufKeys& keys, const std::vector<GgufTensor>& tensors,
                                         const std::string& architecture, std::size_t n_layers);

/// Window of each layer in tokens, 0 for those that look at the whole context.
std::vector<std::uint64_t> read_windows(const GgufKeys& keys, const std::string& architecture,
                                        std::size_t n_layers);

}  // namespace caravan::model
