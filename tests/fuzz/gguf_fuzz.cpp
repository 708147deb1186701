// Any bytes as a model file: read_model_facts returns facts or an error, and never aborts, hangs or takes
// much memory.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "model/gguf.h"
#include "model/memory_need.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  const auto read = [&](void* out, std::uint64_t offset, std::size_t length) -> std::size_t {
    if (offset >= size) return 0;
    const std::size_t got = std::min<std::size_t>(length, size - offset);
    std::memcpy(out, data + offset, got);
    return got;
  };
  const auto facts = model::read_model_facts(model::ByteSource{"fuzz", Bytes{size}, read});
  // what the rest of Caravan relies on
  if (!facts) {
    if (facts.error().message.empty()) std::abort();
    return 0;
  }
  if (facts->layers.empty() || facts->weights().count > size) std::abort();
  if (!facts->layer_facts.empty() && facts->layer_facts.size() != facts->n_layers()) std::abort();
  if (facts->kv_per_token.size() != facts->layer_facts.size()) std::abort();
  const auto need = model::memory_need(*facts, model::MemoryQuestion::whole(*facts));
  if (need.weights != facts->weights() || facts->active_per_token() > facts->weights() + facts->head)
    std::abort();
  return 0;
}
