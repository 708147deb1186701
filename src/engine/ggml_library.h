// The engine's own ggml libraries, loaded into this process: the kernels that will run, called directly. For
// the child process that measures them and for nobody else: foreign code in a process of ours can take it
// down.
#pragma once

#include <string>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>

#include "base/result.h"
#include "engine/ggml_files.h"

namespace caravan::engine {

/// Each by its name without "ggml_".
// clang-format off
#define CARAVAN_GGML_FUNCTIONS(APPLY) \
  APPLY(add) APPLY(backend_alloc_ctx_tensors_from_buft) APPLY(backend_buffer_free) \
  APPLY(backend_buft_alloc_buffer) APPLY(backend_buft_name) APPLY(backend_dev_buffer_type) \
  APPLY(backend_dev_init) APPLY(backend_dev_supports_op) APPLY(backend_free) \
  APPLY(backend_graph_compute) APPLY(backend_reg_dev_get) APPLY(backend_reg_get_proc_address) \
  APPLY(backend_tensor_set) APPLY(build_forward_expand) APPLY(flash_attn_ext) APPLY(free) \
  APPLY(gallocr_alloc_graph) APPLY(gallocr_free) APPLY(gallocr_new) APPLY(graph_overhead_custom) \
  APPLY(init) APPLY(log_set) APPLY(mul) APPLY(mul_mat) APPLY(nbytes) APPLY(new_graph_custom) \
  APPLY(new_tensor_1d) APPLY(new_tensor_2d) APPLY(new_tensor_3d) APPLY(permute) APPLY(quantize_chunk) APPLY(reshape_2d) \
  APPLY(reshape_3d) APPLY(rms_norm) APPLY(rope_ext) APPLY(row_size) APPLY(swiglu_split) \
  APPLY(tensor_overhead) APPLY(threadpool_params_default) APPLY(type_name) APPLY(version)
// clang-format on

/// The functions of libggml-base that are used, with the types that the headers declare. The caravan program
/// has a ggml-base of its own, linked statically for reading GGUF: these are the engine's, never ours.
struct GgmlFunctions {
#define CARAVAN_DECLARE(name) \
  decltype(&::ggml_##name) name{};  // NOLINT(bugprone-macro-parentheses): it is declared
  CARAVAN_GGML_FUNCTIONS(CARAVAN_DECLARE)
#undef CARAVAN_DECLARE
  // Of the processor's library, which may come in several variants.
  ggml_backend_set_n_threads_t set_n_threads = nullptr;
  ggml_backend_dev_get_extra_bufts_t get_extra_bufts = nullptr;  ///< may be missing
  decltype(&::ggml_threadpool_new) threadpool_new = nullptr;
  decltype(&::ggml_threadpool_free) threadpool_free = nullptr;
  decltype(&::ggml_backend_cpu_set_threadpool) set_threadpool = nullptr;
};

struct GgmlLibrary {
  GgmlFunctions call;
  ggml_backend_dev_t cpu = nullptr;
  std::string version;  ///< "0.25.1"
  std::string file;     ///< of the processor's library: which variant was taken
};

/// Loads them for the rest of this process's life. Of several processor libraries the one that rates itself
/// highest, as the engine does. Code::incompatible when a library cannot be loaded, lacks a function, or is
/// of another version than the headers that this program was built with.
Result<GgmlLibrary> load_ggml(const GgmlFiles& files);

}  // namespace caravan::engine
