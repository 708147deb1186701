// Any bytes as a model file: our reader of its layout never disagrees with ggml's about a file that both
// accept.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <gguf.h>

#include "fabric/store/gguf_layout.h"

namespace {

using caravan::fabric::GgufLayout;

void compare(const GgufLayout& ours, const gguf_context& theirs) {
  if (gguf_get_n_tensors(&theirs) != static_cast<std::int64_t>(ours.tensors.size())) std::abort();
  for (std::size_t i = 0; i < ours.tensors.size(); ++i) {
    const auto& tensor = ours.tensors[i];
    const auto id = static_cast<std::int64_t>(i);
    if (tensor.name != gguf_get_tensor_name(&theirs, id)) std::abort();
    if (tensor.type != static_cast<std::uint32_t>(gguf_get_tensor_type(&theirs, id))) std::abort();
    if (tensor.bytes != gguf_get_tensor_size(&theirs, id)) std::abort();
    if (tensor.offset != gguf_get_data_offset(&theirs) + gguf_get_tensor_offset(&theirs, id)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  const auto read = [&](void* out, std::uint64_t offset, std::size_t length) -> std::size_t {
    if (offset >= size) return 0;
    const std::size_t got = std::min<std::size_t>(length, size - offset);
    std::memcpy(out, data + offset, got);
    return got;
  };
  const auto layout = caravan::fabric::read_gguf_layout({"fuzz", size, read});
  if (!layout) {
    if (layout.error().message.empty()) std::abort();
    return 0;
  }
  for (const auto& tensor : layout->tensors) {
    if (tensor.offset > size || tensor.bytes > size - tensor.offset) std::abort();
  }
  const std::unique_ptr<gguf_context, void (*)(gguf_context*)> theirs(
      gguf_init_from_buffer(data, size, {true, nullptr}), gguf_free);
  if (theirs) compare(*layout, *theirs);
  return 0;
}
