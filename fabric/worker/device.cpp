#include "fabric/worker/device.h"

#include <algorithm>
#include <array>
#include <new>

#include <fmt/format.h>
#include <ggml-backend-impl.h>
#include <ggml-cpu.h>
#include <ggml.h>

namespace caravan::fabric::worker {
namespace {

/// Bytes of a buffer that is only there for its kind.
constexpr std::size_t kTinyBuffer = 64;

DeviceKind kind_of(ggml_backend_dev_t device) {
  switch (ggml_backend_dev_type(device)) {
    case GGML_BACKEND_DEVICE_TYPE_CPU:
      return DeviceKind::cpu;
    case GGML_BACKEND_DEVICE_TYPE_GPU:
      return DeviceKind::gpu;
    case GGML_BACKEND_DEVICE_TYPE_IGPU:
      return DeviceKind::integrated_gpu;
    case GGML_BACKEND_DEVICE_TYPE_ACCEL:
      return DeviceKind::accelerator;
    default:
      return DeviceKind::other;
  }
}

template <typename Function>
Function function_of(ggml_backend_dev_t device, const char* name) {
  return reinterpret_cast<Function>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), name));
}

/// A product of a weight of this shape with a row, as the engine asks for it when it chooses a weight's
/// memory.
struct DummyProduct {
  ggml_tensor weight{};
  ggml_tensor input{};
  ggml_tensor ids{};
  ggml_tensor product{};
};

void shape(ggml_tensor& tensor, ggml_type type, std::array<std::int64_t, 4> ne) {
  tensor.type = type;
  std::copy(ne.begin(), ne.end(), tensor.ne);
  tensor.nb[0] = ggml_type_size(type);
  tensor.nb[1] = ggml_row_size(type, ne[0]);
  tensor.nb[2] = tensor.nb[1] * static_cast<std::size_t>(ne[1]);
  tensor.nb[3] = tensor.nb[2] * static_cast<std::size_t>(ne[2]);
}

void make_product(DummyProduct& made, ggml_type type, const std::int64_t* ne, ggml_backend_buffer_t buffer) {
  constexpr std::int64_t kRows = 512;
  shape(made.weight, type, {ne[0], ne[1], ne[2], ne[3]});
  made.weight.buffer = buffer;
  const bool experts = ne[2] > 1;
  shape(made.input, GGML_TYPE_F32, {ne[0], experts ? 1 : kRows, experts ? kRows : 1, 1});
  shape(made.ids, GGML_TYPE_I32, {1, kRows, 1, 1});
  shape(made.product, GGML_TYPE_F32, {ne[1], experts ? 1 : kRows, experts ? kRows : 1, 1});
  made.product.op = experts ? GGML_OP_MUL_MAT_ID : GGML_OP_MUL_MAT;
  made.product.src[0] = &made.weight;
  made.product.src[1] = &made.input;
  if (experts) made.product.src[2] = &made.ids;
}

bool is_cancelled(void* flag) { return static_cast<const std::atomic<bool>*>(flag)->load(); }

}  // namespace

std::vector<Device> list_devices(std::uint64_t memory_limit) {
  std::vector<Device> devices;
  const std::size_t count = std::min(ggml_backend_dev_count(), kMaxDevices);
  devices.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    ggml_backend_dev_t found = ggml_backend_dev_get(i);
    std::size_t free = 0;
    std::size_t total = 0;
    ggml_backend_dev_memory(found, &free, &total);
    Device device;
    device.name = ggml_backend_dev_name(found);
    device.description = ggml_backend_dev_description(found);
    device.kind = kind_of(found);
    device.free_bytes = memory_limit == 0 ? free : std::min<std::uint64_t>(free, memory_limit);
    device.total_bytes = memory_limit == 0 ? total : std::min<std::uint64_t>(total, memory_limit);
    ggml_backend_buffer_type_t buffers = ggml_backend_dev_buffer_type(found);
    device.alignment = ggml_backend_buft_get_alignment(buffers);
    device.max_buffer = ggml_backend_buft_get_max_size(buffers);
    devices.push_back(std::move(device));
  }
  return devices;
}

Result<ComputeDevice> ComputeDevice::open(std::uint32_t index, std::uint32_t threads,
                                          const std::atomic<bool>* cancel) {
  if (index >= std::min(ggml_backend_dev_count(), kMaxDevices))
    return Error{Code::not_found, fmt::format("this worker has no device {}", index),
                 "take an index of the list in its welcome"};
  ComputeDevice opened;
  opened.device_ = ggml_backend_dev_get(index);
  opened.backend_.reset(ggml_backend_dev_init(opened.device_, nullptr));
  if (!opened.backend_)
    return Error{Code::unavailable,
                 fmt::format("the device {} does not start", ggml_backend_dev_name(opened.device_)), ""};
  opened.threads_ = static_cast<int>(std::clamp<std::uint32_t>(threads, 1, kMaxThreads));
  if (auto set = function_of<ggml_backend_set_n_threads_t>(opened.device_, "ggml_backend_set_n_threads"))
    set(opened.backend_.get(), opened.threads_);
  if (auto set =
          function_of<ggml_backend_set_abort_callback_t>(opened.device_, "ggml_backend_set_abort_callback"))
    set(opened.backend_.get(), &is_cancelled, const_cast<std::atomic<bool>*>(cancel));
  auto kinds =
      function_of<ggml_backend_dev_get_extra_bufts_t>(opened.device_, "ggml_backend_dev_get_extra_bufts");
  if (kinds == nullptr) return opened;
  for (ggml_backend_buffer_type_t* kind = kinds(opened.device_); kind != nullptr && *kind != nullptr;
       ++kind) {
    BufferHandle buffer(ggml_backend_buft_alloc_buffer(*kind, kTinyBuffer));
    if (buffer) opened.repacked_.push_back(std::move(buffer));
  }
  return opened;
}

Result<BufferHandle> ComputeDevice::allocate(std::uint64_t size) const {
  ggml_backend_buffer_type_t kind = ggml_backend_dev_buffer_type(device_);
  const Error none{Code::exhausted, fmt::format("the device has no {} bytes left", size),
                   "give this stage fewer layers or a shorter context"};
  if (size > ggml_backend_buft_get_max_size(kind)) return none;
  try {
    BufferHandle buffer(ggml_backend_buft_alloc_buffer(kind, std::max<std::uint64_t>(size, 1)));
    if (!buffer) return none;
    ggml_backend_buffer_clear(buffer.get(), 0);
    return buffer;
  } catch (const std::bad_alloc&) {
    return none;
  }
}

Result<void> ComputeDevice::compute(ggml_cgraph* graph) const {
  try {
    switch (ggml_backend_graph_compute(backend_.get(), graph)) {
      case GGML_STATUS_SUCCESS:
        return {};
      case GGML_STATUS_ABORTED:
        return Error{Code::interrupted, "the computation was stopped", ""};
      case GGML_STATUS_ALLOC_FAILED:
        break;
      default:
        return Error{Code::bug, "the device could not compute the graph", "see the worker's log"};
    }
  } catch (const std::bad_alloc&) {
  }
  return Error{Code::exhausted, "the device has no working memory left for the graph",
               "use a smaller micro-batch or a shorter context"};
}

std::pair<std::uint64_t, std::uint64_t> ComputeDevice::memory() const {
  std::size_t free = 0;
  std::size_t total = 0;
  ggml_backend_dev_memory(device_, &free, &total);
  return {free, total};
}

std::uint64_t ComputeDevice::work_size(const ggml_cgraph* graph) const {
  if (ggml_backend_dev_type(device_) != GGML_BACKEND_DEVICE_TYPE_CPU) return 0;
  return ggml_graph_plan(graph, threads_, nullptr).work_size;
}

ggml_backend_buffer_t ComputeDevice::repacked_kind(ggml_type type, const std::int64_t* ne) const {
  for (const BufferHandle& buffer : repacked_) {
    DummyProduct made;
    make_product(made, type, ne, buffer.get());
    if (!ggml_backend_dev_supports_op(device_, &made.product)) continue;
    ggml_backend_buffer_type_t kind = ggml_backend_buffer_get_type(buffer.get());
    // What grows when it is repacked does not fit into the place that the master gave it.
    if (ggml_backend_buft_get_alloc_size(kind, &made.weight) > ggml_nbytes(&made.weight)) continue;
    return buffer.get();
  }
  return nullptr;
}

}  // namespace caravan::fabric::worker
