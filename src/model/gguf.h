// Facts of a model, read from the header of its GGUF file: what each layer weighs, what a token of context
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

namespace caravan::model {

struct ModelFacts {
  std::string name;          ///< as the file calls itself, else its file name without ".gguf"
  std::string architecture;  ///< llama.cpp's name for it: "llama", "gemma3", "qwen2"
  std::string quantization;  ///< "Q4_K_M"; the type of most tensors, "Q4_1", when the file does not say
  Bytes file_size;

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
  /// Bytes of KV cache that a token of context takes in each layer, as f16. An upper bound: layers with a
  /// sliding window take less. Empty when the model has no plain attention (state-space models), so that it
  /// is not known.
  std::vector<Bytes> kv_per_token;

  std::size_t n_layers() const { return layers.size(); }
  /// Everything that has to be in memory somewhere; a tied head counts once.
  Bytes weights() const;
  /// Sum of kv_per_token.
  Bytes kv_per_token_of_all_layers() const;
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
/// foreign, truncated, corrupt, no language model or one of several shards. Any thread, also several at once.
Result<ModelFacts> read_model_facts(const fs::path& path);
Result<ModelFacts> read_model_facts(const ByteSource& source);

}  // namespace caravan::model
