#include "fabric/soak/rig.h"

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <gguf.h>

#include "fabric/module/device.h"

namespace caravan::fabric::soak {
namespace {

constexpr std::int64_t kWidth = 64;
constexpr std::int64_t kInner = 192;
constexpr std::int64_t kWords = 32;
constexpr std::int64_t kContext = 32;
constexpr int kLayers = 2;
constexpr std::int64_t kPrompt = 12;
constexpr std::size_t kGraphSize = 256;

struct Deleter {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(gguf_context* gguf) const { gguf_free(gguf); }
  void operator()(ggml_backend* backend) const { ggml_backend_free(backend); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
  void operator()(ggml_backend_sched* scheduler) const { ggml_backend_sched_free(scheduler); }
};
template <typename T>
using Handle = std::unique_ptr<T, Deleter>;

Handle<ggml_context> new_context() {
  Handle<ggml_context> made(
      ggml_init({ggml_tensor_overhead() * kGraphSize * 2 + ggml_graph_overhead(), nullptr, true}));
  if (!made) throw std::bad_alloc();
  return made;
}

/// The weights of one place: 0 and 1 are layers, kLayers is what the master has.
std::vector<ggml_tensor*> weights_of(ggml_context* context, int place) {
  const auto add = [&](const char* name, std::int64_t n0, std::int64_t n1) {
    ggml_tensor* made = ggml_new_tensor_2d(context, GGML_TYPE_F32, n0, n1);
    ggml_format_name(made, "%s.%d", name, place);
    return made;
  };
  if (place == kLayers) return {add("embedding", kWidth, kWords), add("head", kWidth, kWords)};
  return {add("norm", kWidth, 1), add("up", kWidth, kInner), add("down", kInner, kWidth)};
}

std::string content_of(const ggml_tensor& weight) {
  std::mt19937 random(static_cast<unsigned>(std::hash<std::string>{}(weight.name)));
  std::vector<float> values(static_cast<std::size_t>(ggml_nelements(&weight)));
  for (float& value : values) value = static_cast<float>(random() % 2001) / 8000.0F - 0.125F;
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// All of the model in one process: where each layer is is up to the backends.
class Miniature {
 public:
  /// `backends`: one a layer, the last one the CPU's.
  explicit Miniature(std::vector<ggml_backend_t> backends) : backends_(std::move(backends)) {
    scheduler_.reset(ggml_backend_sched_new(backends_.data(), nullptr, static_cast<int>(backends_.size()),
                                            kGraphSize, false, true));
  }

  /// False when there is no memory for it.
  bool load() {
    for (int place = 0; place <= kLayers; ++place) {
      contexts_.push_back(new_context());
      weights_.push_back(weights_of(contexts_.back().get(), place));
      ggml_backend_t backend =
          backends_[std::min<std::size_t>(static_cast<std::size_t>(place), backends_.size() - 1)];
      if (!give_memory(contexts_.back().get(), backend, GGML_BACKEND_BUFFER_USAGE_WEIGHTS)) return false;
      for (ggml_tensor* weight : weights_.back()) {
        const std::string bytes = content_of(*weight);
        ggml_backend_tensor_set(weight, bytes.data(), 0, bytes.size());
      }
      if (place == kLayers) break;
      contexts_.push_back(new_context());
      memories_.push_back(ggml_new_tensor_2d(contexts_.back().get(), GGML_TYPE_F32, kWidth, kContext));
      ggml_format_name(memories_.back(), "memory.%d", place);
      if (!give_memory(contexts_.back().get(), backend, GGML_BACKEND_BUFFER_USAGE_ANY)) return false;
    }
    forget();
    return true;
  }

  /// What was said so far counts no more.
  void forget() {
    for (ggml_tensor* memory : memories_) ggml_backend_buffer_clear(memory->buffer, 0);
  }

  /// The result for these words, which come after `before` others; nothing when it has failed.
  std::optional<std::string> step(const std::vector<std::int32_t>& words, std::int64_t before) {
    const auto context = new_context();
    ggml_tensor* result = build(context.get(), static_cast<std::int64_t>(words.size()));
    ggml_cgraph* graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, result);
    ggml_backend_sched_reset(scheduler_.get());
    if (!ggml_backend_sched_alloc_graph(scheduler_.get(), graph)) return {};
    ggml_backend_tensor_set(words_, words.data(), 0, words.size() * sizeof(words[0]));
    std::vector<std::int64_t> rows(words.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = before + static_cast<std::int64_t>(i);
    for (ggml_tensor* each : rows_)
      ggml_backend_tensor_set(each, rows.data(), 0, rows.size() * sizeof(rows[0]));
    if (ggml_backend_sched_graph_compute_async(scheduler_.get(), graph) != GGML_STATUS_SUCCESS) return {};
    std::string bytes(ggml_nbytes(result), '\0');
    ggml_backend_tensor_get_async(ggml_backend_sched_get_tensor_backend(scheduler_.get(), result), result,
                                  bytes.data(), 0, bytes.size());
    ggml_backend_sched_synchronize(scheduler_.get());
    return bytes;
  }

 private:
  bool give_memory(ggml_context* context, ggml_backend_t backend, ggml_backend_buffer_usage usage) {
    buffers_.emplace_back(ggml_backend_alloc_ctx_tensors(context, backend));
    if (buffers_.back()) ggml_backend_buffer_set_usage(buffers_.back().get(), usage);
    return buffers_.back() != nullptr;
  }

  ggml_tensor* layer(ggml_context* c, int place, ggml_tensor* x) {
    const auto& weights = weights_[static_cast<std::size_t>(place)];
    ggml_tensor* normed = ggml_mul(c, ggml_rms_norm(c, x, 1e-5F), weights[0]);
    rows_.push_back(ggml_new_tensor_1d(c, GGML_TYPE_I64, x->ne[1]));
    ggml_set_input(rows_.back());
    ggml_tensor* memory = ggml_set_rows(c, memories_[static_cast<std::size_t>(place)], normed, rows_.back());
    ggml_tensor* scores = ggml_soft_max(c, ggml_mul_mat(c, memory, normed));
    x = ggml_add(c, x, ggml_mul_mat(c, ggml_cont(c, ggml_transpose(c, memory)), scores));
    ggml_tensor* inner = ggml_silu(c, ggml_mul_mat(c, weights[1], x));
    x = ggml_add(c, x, ggml_mul_mat(c, weights[2], inner));
    ggml_format_name(x, "l_out-%d", place);
    return x;
  }

  ggml_tensor* build(ggml_context* c, std::int64_t count) {
    rows_.clear();
    words_ = ggml_new_tensor_1d(c, GGML_TYPE_I32, count);
    ggml_set_input(words_);
    ggml_tensor* x = ggml_get_rows(c, weights_[kLayers][0], words_);
    for (int i = 0; i < kLayers; ++i) x = layer(c, i, x);
    ggml_tensor* result = ggml_mul_mat(c, weights_[kLayers][1], x);
    ggml_set_output(result);
    return result;
  }

  std::vector<ggml_backend_t> backends_;
  std::vector<Handle<ggml_context>> contexts_;
  std::vector<Handle<ggml_backend_buffer>> buffers_;
  std::vector<std::vector<ggml_tensor*>> weights_;
  std::vector<ggml_tensor*> memories_;
  std::vector<ggml_tensor*> rows_;
  ggml_tensor* words_ = nullptr;
  Handle<ggml_backend_sched> scheduler_;
};

/// Results until one has failed.
void work(Miniature& model, Run& run) {
  run.failed = true;
  if (!model.load()) return;
  if (!model.step({1}, 0)) return;  // as llama-server warms up: what it reads afterwards is learned here
  model.forget();
  std::vector<std::int32_t> words(kPrompt);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::int32_t>(i * 7 % kWords);
  std::int64_t before = 0;
  for (int i = 0; i < kSteps; ++i) {
    auto result = model.step(words, before);
    if (!result) return;
    before += static_cast<std::int64_t>(words.size());
    // The next word is what the result says, so that a wrong one would show in all that follows.
    const auto sum = std::hash<std::string>{}(*result);
    words.assign(1, static_cast<std::int32_t>(sum % kWords));
    run.results.push_back(std::move(*result));
  }
  run.failed = false;
}

Handle<ggml_backend> cpu() {
  Handle<ggml_backend> made(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
  ggml_backend_cpu_set_n_threads(made.get(), 1);
  return made;
}

}  // namespace

void write_miniature(const std::filesystem::path& file) {
  const Handle<gguf_context> gguf(gguf_init_empty());
  const auto context = new_context();
  gguf_set_val_str(gguf.get(), "general.architecture", "llama");
  std::vector<std::string> contents;
  contents.reserve(std::size_t{kLayers} * 3);
  for (int place = 0; place < kLayers; ++place) {
    for (ggml_tensor* weight : weights_of(context.get(), place)) {
      contents.push_back(content_of(*weight));
      weight->data = contents.back().data();
      gguf_add_tensor(gguf.get(), weight);
    }
  }
  if (!gguf_write_to_file(gguf.get(), file.c_str(), false))
    throw std::runtime_error("cannot write " + file.string());
}

std::vector<std::string> compute_miniature() {
  const auto master = cpu();
  Miniature model({master.get()});
  Run run;
  work(model, run);
  return run.results;
}

Run run_miniature(const Plan& plan, const std::string& engine) {
  Run run;
  auto contents =
      plan.model.empty() ? std::optional<Contents>() : Contents::open(plan.model, plan.manifests).value();
  auto streams = Streams::open(plan, engine);
  if (!streams) return run;
  run.opened = true;
  std::optional<References> references;
  if (contents) references.emplace(**streams, std::move(*contents));
  std::vector<std::unique_ptr<StageDevice>> devices;
  std::vector<Handle<ggml_backend>> backends;
  std::vector<ggml_backend_t> all;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    devices.push_back(std::make_unique<StageDevice>(**streams, i, nullptr));
    devices.back()->references = references ? &*references : nullptr;
    backends.emplace_back(ggml_backend_dev_init(&devices.back()->device, nullptr));
    all.push_back(backends.back().get());
  }
  backends.push_back(cpu());
  all.push_back(backends.back().get());
  {
    Miniature model(all);
    work(model, run);
  }
  return run;
}

}  // namespace caravan::fabric::soak
