// One of ggml's devices, with a backend that computes on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ggml-backend.h>

#include "base/result.h"
#include "fabric/wire/messages.h"

namespace caravan::fabric::worker {

struct BufferDeleter {
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};
using BufferHandle = std::unique_ptr<ggml_backend_buffer, BufferDeleter>;

/// What ggml found in this process: a WELCOME's list, in the order of OPEN's indices. `memory_limit` (bytes,
/// 0: none) caps what is offered of each.
std::vector<Device> list_devices(std::uint64_t memory_limit);

/// Used by one thread at a time, but for `cancel`.
class ComputeDevice {
 public:
  /// `index` as in list_devices. A computation ends early once `*cancel` is true; it must outlive this.
  static Result<ComputeDevice> open(std::uint32_t index, std::uint32_t threads,
                                    const std::atomic<bool>* cancel);

  ggml_backend_dev_t handle() const { return device_; }
  /// Memory of `size` bytes, zeroed.
  Result<BufferHandle> allocate(std::uint64_t size) const;
  /// Blocks until it is done; Code::interrupted when it was cancelled.
  Result<void> compute(ggml_cgraph* graph) const;
  /// Free and total bytes, as the device says.
  std::pair<std::uint64_t, std::uint64_t> memory() const;
  /// Working memory that the device takes for `graph` besides buffers, bytes; 0 where it does not say.
  std::uint64_t work_size(const ggml_cgraph* graph) const;

  /// A buffer of the kind in which this weight's products are fastest, for attaching to tensors whose memory
  /// lies elsewhere; null for plain memory. Of the same size as plain memory, always.
  ggml_backend_buffer_t repacked_kind(ggml_type type, const std::int64_t* ne) const;

 private:
  struct BackendDeleter {
    void operator()(ggml_backend* backend) const { ggml_backend_free(backend); }
  };

  ComputeDevice() = default;

  ggml_backend_dev_t device_ = nullptr;
  std::unique_ptr<ggml_backend, BackendDeleter> backend_;
  int threads_ = 1;
  std::vector<BufferHandle> repacked_;  ///< one of each kind, tiny
};

}  // namespace caravan::fabric::worker
