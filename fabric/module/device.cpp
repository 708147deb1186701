// What ggml may ask a device: what it is, how much memory it has, what it can compute.
#include "fabric/module/device.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "fabric/ops/check.h"

namespace caravan::fabric {
namespace {

/// Graphs that a device keeps: tensor parallelism has two a layer and one more, all small, for each kind of
/// batch; a whole model's have some 2000 tensors.
constexpr std::size_t kGraphsKept = 512;
constexpr std::size_t kTensorsKept = 32768;

StageDevice& device_in(ggml_backend_dev_t device) { return *static_cast<StageDevice*>(device->context); }

const char* device_name(ggml_backend_dev_t device) { return device_in(device).name.c_str(); }

const char* device_description(ggml_backend_dev_t device) { return device_in(device).description.c_str(); }

void device_memory(ggml_backend_dev_t device, std::size_t* free, std::size_t* total) {
  const auto& mine = device_in(device);
  const auto& known = mine.streams.device(mine.stage);
  *free = known.free_bytes;
  *total = known.total_bytes;
}

enum ggml_backend_dev_type device_type(ggml_backend_dev_t /*device*/) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

void device_props(ggml_backend_dev_t device, ggml_backend_dev_props* props) {
  props->name = device_name(device);
  props->description = device_description(device);
  props->type = device_type(device);
  device_memory(device, &props->memory_free, &props->memory_total);
  // Without events llama.cpp does not make four copies of each input. The overlap of micro-batches does not
  // need them.
  props->caps = {.async = true,
                 .host_buffer = false,
                 .buffer_from_host_ptr = false,
                 .events = false,
                 .mmap_support = true};
}

ggml_backend_t device_backend(ggml_backend_dev_t device, const char* /*parameters*/) {
  return new_backend(device_in(device));
}

ggml_backend_buffer_type_t device_buffers(ggml_backend_dev_t device) { return &device_in(device).buffers; }

/// The operation of the model's head, which the plan may keep on the master: the product with the last
/// matrix, and its bias. Where embeddings are tied the last matrix is called like the first.
bool is_head(const ggml_tensor& op) {
  const auto source_is = [&op](int i, std::string_view name) {
    return op.src[i] != nullptr && std::string_view(op.src[i]->name) == name;
  };
  if (op.op == GGML_OP_MUL_MAT) return source_is(0, "output.weight") || source_is(0, "token_embd.weight");
  return op.op == GGML_OP_ADD && source_is(1, "output.bias");
}

/// Operations whose parameters hold pointers to functions of this process.
bool is_of_this_process(ggml_op op) {
  return op == GGML_OP_MAP_CUSTOM1 || op == GGML_OP_MAP_CUSTOM2 || op == GGML_OP_MAP_CUSTOM3 ||
         op == GGML_OP_CUSTOM;
}

/// A CPU that has the tensors in its own memory: buffers of ours would only confuse it.
bool cpu_supports(const ggml_tensor& op) {
  auto* const cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr) return false;
  ggml_tensor question = op;
  question.buffer = nullptr;
  std::array<ggml_tensor, GGML_MAX_SRC> sources = {};
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (op.src[i] == nullptr) continue;
    sources[i] = *op.src[i];
    sources[i].buffer = nullptr;
    question.src[i] = &sources[i];
  }
  return ggml_backend_dev_supports_op(cpu, &question);
}

/// Where tensors are split the loader asks with a buffer type that stands for those of all devices.
bool would_be_here(const StageDevice& device, ggml_backend_buffer_type_t type) {
  return type == &device.buffers || ggml_backend_buft_is_meta(type);
}

/// The loader asks for each weight whether the operation that it is for can be computed.
void remember_use(StageDevice& device, const ggml_tensor& op) {
  for (int i = 0; i < GGML_MAX_SRC; ++i) {
    const auto* const source = op.src[i];
    if (source == nullptr || source->op != GGML_OP_NONE || remote_buffer(source->buffer) != nullptr) continue;
    // Only the loader's question has a weight in a buffer of this type without memory.
    if (source->buffer == nullptr || !would_be_here(device, source->buffer->buft)) continue;
    // A LAYOUT of three dimensions is for experts only.
    const bool has_experts = source->ne[2] > 1;
    const bool matrix = i == 0 && op.op == (has_experts ? GGML_OP_MUL_MAT_ID : GGML_OP_MUL_MAT);
    const std::lock_guard guard(device.lock);
    (matrix ? device.matrices : device.others).emplace(source->name);
  }
}

bool supports_op(ggml_backend_dev_t device, const ggml_tensor* op) {
  auto& mine = device_in(device);
  if (is_of_this_process(op->op)) return false;
  if (mine.streams.plan().head == HeadPlace::master && is_head(*op)) return false;
  if (ops::why_not(*op) != nullptr || !cpu_supports(*op)) return false;
  remember_use(mine, *op);
  return true;
}

bool supports_buft(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
  return type == &device_in(device).buffers;
}

}  // namespace

StageDevice::StageDevice(Streams& all, std::size_t number, ggml_backend_reg_t registry)
    : streams(all),
      stage(number),
      name(fmt::format("Caravan{}", number)),
      description(fmt::format("{} ({})", all.plan().stages[number].name, all.device(number).description)),
      device{device_interface(), registry, this},
      buffers{buffer_type_interface(), &device, this},
      graphs(kGraphsKept, kTensorsKept) {}

ggml_backend_device_i device_interface() {
  return {.get_name = device_name,
          .get_description = device_description,
          .get_memory = device_memory,
          .get_type = device_type,
          .get_props = device_props,
          .init_backend = device_backend,
          .get_buffer_type = device_buffers,
          .get_host_buffer_type = nullptr,
          .buffer_from_host_ptr = nullptr,
          .supports_op = supports_op,
          .supports_buft = supports_buft,
          .offload_op = nullptr,
          .event_new = nullptr,
          .event_free = nullptr,
          .event_synchronize = nullptr};
}

}  // namespace caravan::fabric
