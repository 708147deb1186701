// Facts of a model, read from the headers of its GGUF files: what each layer weighs, what a token of context
// costs. Must not know devices or plans.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "base/units.h"
#include "model/layer_facts.h"

namespace caravan::model {

/// The part of a model that is stored as one ggml type.
struct TypeShare {
  std::string type;  ///< "q4_K"
  std::size_t tensors = 0;
  std::uint64_t parameters = 0;
  Bytes bytes;

  double bits_per_weight() const;
};

struct ModelFacts {
  std::string name;          ///< as the file calls itself, else its file name without ".gguf"
  std::string architecture;  ///< llama.cpp's name for it: "llama", "gemma3", "qwen2"
  std::string quantization;  ///< "Q4_K_M"; the type of most tensors, "Q4_1", when the file does not say
  Bytes file_size;           ///< of all shards
  std::size_t shards = 1;    ///< files

  std::vector<Bytes>
      layers;       ///< weights of each repeating layer ("blk.N."); one may be empty in pruned models
  Bytes embedding;  ///< token_embd.weight
  Bytes head;       ///< output.weight, or the embedding once more when tied
  bool tied_head =
      false;    ///< the head is the embedding: in the file, and on a device that has both, it is there once
  Bytes other;  ///< final norm and whatever else belongs to no layer

  std::uint64_t context_length = 0;    ///< in training, in tokens; 0 = the file does not say
  std::uint64_t embedding_length = 0;  ///< width of what goes from layer to layer
  std::uint64_t vocabulary = 0;        ///< tokens in the embedding
  std::uint64_t per_layer_width = 0;   ///< Gemma 3n and 4: of a second embedding, for each layer
  /// Bytes of KV cache that a token of context takes in each layer, as f16. An upper bound: layers with a
  /// sliding window take less (memory_need.h is exact). Empty when layer_facts is.
  std::vector<Bytes> kv_per_token;
  std::vector<LayerFacts> layer_facts;  ///< of each layer; empty when the file does not say enough

  std::uint64_t parameters = 0;                     ///< numbers in all tensors; a tied head counts once
  std::vector<TypeShare> types;                     ///< the quantization mix, most bytes first
  std::vector<std::vector<TypeShare>> layer_types;  ///< the mix of each layer
  std::string head_type;                            ///< ggml type of the head's weights, "q6_K"
  std::uint64_t experts = 0;         ///< in each layer that has them; 0 = no mixture of experts
  std::uint64_t experts_used = 0;    ///< of these, by one token; the most of any layer
  std::uint64_t experts_shared = 0;  ///< besides, used by every token

  std::size_t n_layers() const { return layers.size(); }
  /// Everything that has to be in memory somewhere; a tied head counts once.
  Bytes weights() const;
  /// Sum of kv_per_token.
  Bytes kv_per_token_of_all_layers() const;
  /// Of the weights of this layer, what a decode step of one token reads: of the experts those that it uses.
  Bytes active_of_layer(std::size_t layer) const;
  /// What a decode step of one token reads in all: active layers and head, but only a row of the embedding.
  Bytes active_per_token() const;
  double bits_per_weight() const;
};

/// Where the bytes of a model come from. `read` fills at most `length` bytes from `offset` and returns how
/// many it got.
struct ByteSource {
  std::string name;  ///< for messages
  Bytes size;
  std::function<std::size_t(void* out, std::uint64_t offset, std::size_t length)> read;
};

/// Reads and checks the header; the weights are not read, but have to be inside the file. Blocks for some
/// milliseconds. Code::not_found when there is no file; Code::incompatible with the reason for what is
/// foreign, truncated, corrupt, no language model or has shards that do not belong together. A model in
/// several shards ("x-00001-of-00003.gguf") is read whole, whichever of them `path` names; a missing one is
/// Code::not_found. Any thread, also several at once.
Result<ModelFacts> read_model_facts(const fs::path& path);
/// A model in one file.
Result<ModelFacts> read_model_facts(const ByteSource& source);
/// All shards, in their order; of a model in one file, that one.
Result<ModelFacts> read_model_facts(const std::vector<ByteSource>& shards);

}  // namespace caravan::model
