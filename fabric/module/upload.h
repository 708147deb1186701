// How tensors get into a worker's memory: sent, or, for a model's weights, referred to.
#pragma once

#include <cstddef>

#include "fabric/module/device.h"

namespace caravan::fabric {

/// `size` bytes of the tensor from `offset`; they are taken over before it returns. `first` says where they
/// go.
void set_bytes(StageDevice& device, const ggml_tensor& tensor, const Region& region, const char* data);

/// `copies` pieces of `size` bytes each, `stride` apart in the tensor and `data_stride` apart in `data`.
struct Pieces {
  std::size_t size;
  std::size_t copies;
  std::size_t stride;
  std::size_t data_stride;
};
/// `region` goes from the first piece to the end of the last.
void set_pieces(StageDevice& device, const ggml_tensor& tensor, const Region& region, const char* data,
                const Pieces& pieces);

}  // namespace caravan::fabric
