// Sorts the tensors of a model: which belong to which layer, embedding or head, and as what they are stored.
#pragma once

#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "model/gguf_keys.h"

namespace caravan::model {

/// Fills in layers (which has its length already), embedding, head, other, vocabulary, parameters and types.
/// Code::incompatible, without the name of the file in front, when the tensors are not those of a model.
Result<void> weigh(const std::vector<GgufTensor>& tensors, ModelFacts& facts);

/// Fills in layer_facts and what follows from them: the KV cache of a token, the experts that it uses.
void add_layer_facts(const GgufKeys& keys, const std::vector<GgufTensor>& tensors,
                     const std::string& architecture, ModelFacts& facts);

/// "Q4_K_M" as `file_type` (general.file_type) says, else the type of most tensors. `tensors` is not empty.
std::string quantization_of(std::optional<std::uint64_t> file_type, const std::vector<GgufTensor>& tensors);

}  // namespace caravan::model
