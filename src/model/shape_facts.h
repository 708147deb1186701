// Facts of a model of which there is no file: from its shape, as llama-quantize would store it. Pure.
#pragma once

#include "model/gguf.h"
#include "model/quantization.h"
#include "model/shape.h"

namespace caravan::model {

/// As reading the GGUF would tell them. Weights are exact for a file made without an importance matrix;
/// file_size adds an estimate of its header (the tokenizer).
ModelFacts facts_of_shape(const ModelShape& shape, const Quantization& quantization);

}  // namespace caravan::model
