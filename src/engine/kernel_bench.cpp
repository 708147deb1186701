#include "engine/kernel_bench.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/kernel_timing.h"

namespace caravan::engine {
namespace {

// Shapes as in models of 1 to 3 billion parameters (Llama-3.2-1B: width 2048, heads of 64).
constexpr std::int64_t kMatrixColumns = 2048;
constexpr std::int64_t kMatrixRows = 2048;
constexpr std::int64_t kStripRows = 64;
constexpr std::int64_t kWidth = 1024;
constexpr std::int64_t kHeadSize = 64;
constexpr std::int64_t kHeads = 32;
constexpr std::int64_t kKeyHeads = 8;
constexpr std::int64_t kContext = 1024;  ///< tokens that one query looks back at
constexpr std::size_t kCaches =
    8;  ///< of as many layers: what one has read is out of the caches at the next token
constexpr float kNormEpsilon = 1e-5F;

constexpr std::size_t kMaxNodes = 1024;

Error no_memory(std::string_view what) {
  return Error{Code::exhausted, fmt::format("not enough memory for {}", what), "close other programs"};
}

/// Numbers between -1 and 1, the same on every machine.
std::vector<float> numbers(std::size_t count) {
  std::vector<float> values(count);
  std::uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
    value = static_cast<float>(state >> 8U) / static_cast<float>(1U << 23U) - 1.0F;
  }
  return values;
}

/// A graph and the memory of its intermediate results, which are reused as the engine's scheduler reuses
/// them.
class Graph {
 public:
  explicit Graph(const GgmlFunctions& call)
      : call_(&call),
        context_(call.init({call.tensor_overhead() * kMaxNodes + call.graph_overhead_custom(kMaxNodes, false),
                            nullptr,
                            /*no_alloc=*/true})),
        graph_(call.new_graph_custom(context_, kMaxNodes, false)) {}
  ~Graph() {
    if (allocator_ != nullptr) call_->gallocr_free(allocator_);
    call_->free(context_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  ggml_context* context() { return context_; }
  void add(ggml_tensor* result) { call_->build_forward_expand(graph_, result); }
  Result<void> allocate(KernelBackend& backend) {
    allocator_ = call_->gallocr_new(backend.plain_buffers());
    if (allocator_ == nullptr || !call_->gallocr_alloc_graph(allocator_, graph_)) return no_memory("a graph");
    return {};
  }
  ggml_cgraph* get() { return graph_; }

 private:
  const GgmlFunctions* call_;
  ggml_context* context_;
  ggml_cgraph* graph_;
  ggml_gallocr_t allocator_ = nullptr;
};

void set_floats(const GgmlFunctions& call, ggml_tensor* tensor) {
  const std::size_t bytes = call.nbytes(tensor);
  const std::vector<float> values = numbers(bytes / sizeof(float));
  call.backend_tensor_set(tensor, values.data(), 0, bytes);
}

/// Times the graph's passes; `work` is what one pass does, in the unit of the quantity.
Result<Measurement> time_graph(KernelBackend& backend, Graph& graph, const Setting& setting, double work,
                               Measurement measurement) {
  if (auto set = backend.use_threads(setting.threads); !set) return set.error();
  if (auto allocated = graph.allocate(backend); !allocated) return allocated.error();
  const auto timing =
      time_passes(setting.threads, setting.slice, [&] { return backend.compute(graph.get()); });
  if (!timing) return timing.error();
  measurement.threads = setting.threads;
  measurement.columns = setting.columns;
  measurement.rate = work / timing->seconds;
  measurement.share = timing->share;
  return measurement;
}

}  // namespace

Result<std::unique_ptr<KernelBackend>> KernelBackend::make(const GgmlLibrary& library) {
  ggml_backend_t backend = library.call.backend_dev_init(library.cpu, nullptr);
  if (backend == nullptr)
    return Error{Code::incompatible, "the engine's processor backend does not start", ""};
  return std::unique_ptr<KernelBackend>(new KernelBackend(library, backend));
}

KernelBackend::~KernelBackend() {
  call().backend_free(backend_);
  if (threads_ != nullptr) call().threadpool_free(threads_);
}

ggml_backend_buffer_type_t KernelBackend::plain_buffers() const {
  return call().backend_dev_buffer_type(device());
}

Result<void> KernelBackend::use_threads(int threads) {
  ggml_threadpool_params params = call().threadpool_params_default(threads);
  ggml_threadpool* made = call().threadpool_new(&params);
  if (made == nullptr) return no_memory(fmt::format("{} threads", threads));
  call().set_n_threads(backend_, threads);
  call().set_threadpool(backend_, made);
  if (threads_ != nullptr) call().threadpool_free(threads_);
  threads_ = made;
  return {};
}

Result<void> KernelBackend::compute(ggml_cgraph* graph) {
  const ggml_status status = call().backend_graph_compute(backend_, graph);
  if (status == GGML_STATUS_SUCCESS) return {};
  return Error{Code::incompatible,
               fmt::format("the engine's kernels failed with status {}", static_cast<int>(status)), ""};
}

Tensors::Tensors(const GgmlFunctions& call, std::size_t count)
    : call_(&call), context_(call.init({call.tensor_overhead() * (count + 1), nullptr, /*no_alloc=*/true})) {}

Tensors::~Tensors() {
  if (buffer_ != nullptr) call_->backend_buffer_free(buffer_);
  if (context_ != nullptr) call_->free(context_);
}

Tensors::Tensors(Tensors&& other) noexcept
    : call_(other.call_),
      context_(std::exchange(other.context_, nullptr)),
      buffer_(std::exchange(other.buffer_, nullptr)) {}

Result<void> Tensors::allocate(ggml_backend_buffer_type_t buffers) {
  buffer_ = call_->backend_alloc_ctx_tensors_from_buft(context_, buffers);
  if (buffer_ == nullptr) return no_memory("matrices to measure with");
  return {};
}

Result<Weights> Weights::make(KernelBackend& backend, ggml_type type, ggml_backend_buffer_type_t buffers,
                              Bytes pool) {
  const GgmlFunctions& call = backend.call();
  const std::size_t row = call.row_size(type, kMatrixColumns);
  const std::size_t bytes = row * static_cast<std::size_t>(kMatrixRows);
  const std::size_t count = std::clamp<std::size_t>(pool.count / bytes, 1, kMaxNodes / 2);
  Weights weights{Tensors(call, count),      {}, Bytes{bytes * count}, call.type_name(type),
                  std::string(kPlainLayout), {}};
  for (std::size_t i = 0; i < count; ++i) {
    weights.matrices.push_back(
        call.new_tensor_2d(weights.tensors.context(), type, kMatrixColumns, kMatrixRows));
  }
  if (buffers != backend.plain_buffers()) weights.layout = call.backend_buft_name(buffers);
  if (auto allocated = weights.tensors.allocate(buffers); !allocated) return allocated.error();

  // Quantizing is slow and values do not matter: a strip of rows, over and over.
  const std::vector<float> values = numbers(static_cast<std::size_t>(kStripRows * kMatrixColumns));
  std::vector<char> strip(row * static_cast<std::size_t>(kStripRows));
  call.quantize_chunk(type, values.data(), strip.data(), 0, kStripRows, kMatrixColumns, nullptr);
  std::vector<char> matrix;
  for (std::int64_t rows = 0; rows < kMatrixRows; rows += kStripRows)
    matrix.insert(matrix.end(), strip.begin(), strip.end());
  const PassTiming timing = time_once([&] {
    for (ggml_tensor* tensor : weights.matrices)
      call.backend_tensor_set(tensor, matrix.data(), 0, matrix.size());
  });
  weights.stored.quantity = Quantity::store;
  weights.stored.type = weights.type;
  weights.stored.layout = weights.layout;
  weights.stored.touched = weights.total;
  weights.stored.rate = static_cast<double>(weights.total.count) / timing.seconds;
  weights.stored.share = timing.share;
  return weights;
}

ggml_backend_buffer_type_t special_layout(KernelBackend& backend, ggml_type type) {
  const GgmlFunctions& call = backend.call();
  if (call.get_extra_bufts == nullptr) return nullptr;
  ggml_backend_buffer_type_t* candidates = call.get_extra_bufts(backend.device());
  for (; candidates != nullptr && *candidates != nullptr; ++candidates) {
    const Tensors probe(call, 4);
    ggml_tensor* weights = call.new_tensor_2d(probe.context(), type, kMatrixColumns, kMatrixRows);
    ggml_tensor* input = call.new_tensor_2d(probe.context(), GGML_TYPE_F32, kMatrixColumns, 512);
    ggml_tensor* product = call.mul_mat(probe.context(), weights, input);
    ggml_backend_buffer_t nothing = call.backend_buft_alloc_buffer(*candidates, 0);
    if (nothing == nullptr) continue;
    weights->buffer = nothing;
    const bool fits = call.backend_dev_supports_op(backend.device(), product);
    weights->buffer = nullptr;
    call.backend_buffer_free(nothing);
    if (fits) return *candidates;
  }
  return nullptr;
}

double multiply_adds_of_a_pass(int columns) {
  return static_cast<double>(kMatrixColumns * kMatrixRows) * columns;
}

Result<Measurement> measure_weights(KernelBackend& backend, const Weights& weights, const Setting& setting) {
  const GgmlFunctions& call = backend.call();
  const bool decode = setting.columns == 1;
  Tensors inputs(call, 1);
  ggml_tensor* input = call.new_tensor_2d(inputs.context(), GGML_TYPE_F32, kMatrixColumns, setting.columns);
  if (auto allocated = inputs.allocate(backend.plain_buffers()); !allocated) return allocated.error();
  set_floats(call, input);
  Graph graph(call);
  const std::size_t count = decode ? weights.matrices.size() : 1;
  for (std::size_t i = 0; i < count; ++i)
    graph.add(call.mul_mat(graph.context(), weights.matrices[i], input));
  Measurement measurement;
  measurement.quantity = decode ? Quantity::decode : Quantity::prefill;
  measurement.type = weights.type;
  measurement.layout = weights.layout;
  measurement.touched = decode ? weights.total : Bytes{weights.total.count / weights.matrices.size()};
  return time_graph(
      backend, graph, setting,
      decode ? static_cast<double>(weights.total.count) : multiply_adds_of_a_pass(setting.columns),
      measurement);
}

Result<Measurement> measure_attention(KernelBackend& backend, const Setting& setting) {
  const GgmlFunctions& call = backend.call();
  const std::int64_t queries = setting.columns;
  const std::int64_t context = queries == 1 ? kContext : queries;
  const std::size_t layers = queries == 1 ? kCaches : 1;
  Tensors inputs(call, 2 + 2 * kCaches);
  ggml_tensor* query = call.new_tensor_3d(inputs.context(), GGML_TYPE_F32, kHeadSize, queries, kHeads);
  // As the engine keeps them: all heads of a token side by side, keys and values in turns.
  std::vector<ggml_tensor*> cache;
  for (std::size_t i = 0; i < 2 * layers; ++i) {
    cache.push_back(call.new_tensor_3d(inputs.context(), GGML_TYPE_F16, kHeadSize, kKeyHeads, context));
  }
  ggml_tensor* mask = call.new_tensor_2d(inputs.context(), GGML_TYPE_F16, context, queries);
  if (auto allocated = inputs.allocate(backend.plain_buffers()); !allocated) return allocated.error();
  set_floats(call, query);
  constexpr std::uint16_t kMinusInfinity = 0xFC00;  // of IEEE 754's binary16
  constexpr std::uint16_t kOneHalf = 0x3800;
  const std::vector<std::uint16_t> half(static_cast<std::size_t>(context * kHeadSize * kKeyHeads), kOneHalf);
  for (ggml_tensor* tensor : cache)
    call.backend_tensor_set(tensor, half.data(), 0, half.size() * sizeof(std::uint16_t));
  std::vector<std::uint16_t> seen(static_cast<std::size_t>(context * queries), 0);
  for (std::int64_t row = 0; queries > 1 && row < queries; ++row) {
    const auto line = seen.begin() + row * context;
    std::fill(line + row + 1, line + context, kMinusInfinity);
  }
  call.backend_tensor_set(mask, seen.data(), 0, seen.size() * sizeof(std::uint16_t));

  Graph graph(call);
  for (std::size_t i = 0; i < layers; ++i) {
    ggml_tensor* key = call.permute(graph.context(), cache[2 * i], 0, 2, 1, 3);
    ggml_tensor* value = call.permute(graph.context(), cache[2 * i + 1], 0, 2, 1, 3);
    graph.add(call.flash_attn_ext(graph.context(), query, key, value, mask, 0.125F, 0, 0));
  }
  const double pairs =
      static_cast<double>(layers) * static_cast<double>(queries == 1 ? context : queries * (queries + 1) / 2);
  Measurement measurement;
  measurement.quantity = Quantity::attention;
  measurement.touched = Bytes{cache.size() * half.size() * sizeof(std::uint16_t)};
  return time_graph(backend, graph, setting, pairs * 2 * static_cast<double>(kHeadSize * kHeads),
                    measurement);
}

Result<Measurement> measure_elements(KernelBackend& backend, const Setting& setting) {
  constexpr int kRounds = 8;
  constexpr int kOperations = 5;
  const GgmlFunctions& call = backend.call();
  Tensors inputs(call, 4);
  ggml_tensor* input = call.new_tensor_2d(inputs.context(), GGML_TYPE_F32, kWidth, setting.columns);
  ggml_tensor* residual = call.new_tensor_2d(inputs.context(), GGML_TYPE_F32, kWidth, setting.columns);
  ggml_tensor* factors = call.new_tensor_1d(inputs.context(), GGML_TYPE_F32, kWidth);
  ggml_tensor* positions = call.new_tensor_1d(inputs.context(), GGML_TYPE_I32, setting.columns);
  if (auto allocated = inputs.allocate(backend.plain_buffers()); !allocated) return allocated.error();
  for (ggml_tensor* tensor : {input, residual, factors}) set_floats(call, tensor);
  std::vector<std::int32_t> places(static_cast<std::size_t>(setting.columns));
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<std::int32_t>(i);
  call.backend_tensor_set(positions, places.data(), 0, places.size() * sizeof(std::int32_t));

  Graph graph(call);
  ggml_context* context = graph.context();
  ggml_tensor* now = input;
  for (int round = 0; round < kRounds; ++round) {
    now = call.mul(context, call.rms_norm(context, now, kNormEpsilon), factors);
    now =
        call.rope_ext(context, call.reshape_3d(context, now, kHeadSize, kWidth / kHeadSize, setting.columns),
                      positions, nullptr, kHeadSize, 0, 0, 10000.0F, 1.0F, 0.0F, 1.0F, 32.0F, 1.0F);
    now = call.swiglu_split(context, call.reshape_2d(context, now, kWidth, setting.columns), residual);
    now = call.add(context, now, residual);
  }
  graph.add(now);
  const double operations = kRounds * kOperations;
  Measurement measurement;
  measurement.quantity = setting.columns == 1 ? Quantity::small_op : Quantity::elements;
  measurement.touched = Bytes{static_cast<std::uint64_t>(kWidth * setting.columns) * sizeof(float)};
  const double work =
      setting.columns == 1 ? operations : operations * static_cast<double>(kWidth * setting.columns);
  return time_graph(backend, graph, setting, work, measurement);
}

}  // namespace caravan::engine
