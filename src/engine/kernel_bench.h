// The kernels of a loaded engine, put to work on made-up matrices: the graphs whose passes are timed. Runs in
// the measuring child only (see ggml_library.h); everything blocks.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/measurement.h"
#include "base/result.h"
#include "engine/ggml_library.h"

namespace caravan::engine {

/// The processor's backend with a number of threads, as llama-server sets it up. One thread uses it.
class KernelBackend {
 public:
  static Result<std::unique_ptr<KernelBackend>> make(const GgmlLibrary& library);
  ~KernelBackend();
  KernelBackend(const KernelBackend&) = delete;
  KernelBackend& operator=(const KernelBackend&) = delete;

  const GgmlFunctions& call() const { return library_->call; }
  ggml_backend_dev_t device() const { return library_->cpu; }
  ggml_backend_buffer_type_t plain_buffers() const;
  Result<void> use_threads(int threads);
  Result<void> compute(ggml_cgraph* graph);

 private:
  KernelBackend(const GgmlLibrary& library, ggml_backend_t backend) : library_(&library), backend_(backend) {}

  const GgmlLibrary* library_;
  ggml_backend_t backend_;
  ggml_threadpool* threads_ = nullptr;
};

/// Tensors and the buffer that holds them; freed together.
class Tensors {
 public:
  Tensors(const GgmlFunctions& call, std::size_t count);
  ~Tensors();
  Tensors(Tensors&& other) noexcept;
  Tensors& operator=(Tensors&&) = delete;

  ggml_context* context() const { return context_; }
  /// Memory for every tensor that was made in context() so far.
  Result<void> allocate(ggml_backend_buffer_type_t buffers);

 private:
  const GgmlFunctions* call_;
  ggml_context* context_;
  ggml_backend_buffer* buffer_ = nullptr;
};

/// Matrices of one type in one layout, many enough that none is in a cache when its turn comes again.
struct Weights {
  Tensors tensors;
  std::vector<ggml_tensor*> matrices;
  Bytes total;
  std::string type;    ///< "q4_K"
  std::string layout;  ///< kPlainLayout or the name of the buffer type
  Measurement stored;  ///< how fast they got there: what loading a model takes besides reading the file

  /// 2048 x 2048 each, together about `pool`, in buffers of that type.
  static Result<Weights> make(KernelBackend& backend, ggml_type type, ggml_backend_buffer_type_t buffers,
                              Bytes pool);
};

/// Where the engine itself would put weights of that type if the model is not only mapped: the first of the
/// processor's extra buffer types that can multiply it (llama.cpp's make_cpu_buft_list and
/// select_weight_buft). Null when this processor has no special layout for it.
ggml_backend_buffer_type_t special_layout(KernelBackend& backend, ggml_type type);

/// A rate at `threads` threads, from passes of about `slice`. use_threads() is called by them.
struct Setting {
  int threads = 1;
  int columns = 1;
  std::chrono::duration<double> slice{0.1};
};
/// What a prefill's pass over one matrix is.
double multiply_adds_of_a_pass(int columns);
/// Columns 1 is a decode: bytes of weights a second, every matrix once a pass. More are a prefill:
/// multiply-adds a second, with the first matrix.
Result<Measurement> measure_weights(KernelBackend& backend, const Weights& weights, const Setting& setting);
/// Attention as the engine does it, keys and values in f16, causal: multiply-adds a second.
Result<Measurement> measure_attention(KernelBackend& backend, const Setting& setting);
/// Norms, rotations, gates and additions, chained as in a layer: operations a second for one column, numbers
/// written a second for more.
Result<Measurement> measure_elements(KernelBackend& backend, const Setting& setting);
/// Reading `pool` bytes of memory, without the engine.
Result<Measurement> measure_memory(Bytes pool, const Setting& setting);

}  // namespace caravan::engine
