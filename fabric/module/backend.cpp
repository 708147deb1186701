// The stream of commands to one stage, as ggml's interface wants it. Nothing here waits but a read whose
// bytes are wanted now; synchronize() costs no round trip when nothing was asked.
#include <cstring>
#include <optional>

#include <ggml-impl.h>

#include "fabric/module/describe.h"
#include "fabric/module/device.h"
#include "fabric/module/upload.h"
#include "fabric/ops/check.h"

namespace caravan::fabric {
namespace {

StageDevice& device_in(ggml_backend_t backend) { return *static_cast<StageDevice*>(backend->context); }

const char* name_of_backend(ggml_backend_t backend) { return device_in(backend).name.c_str(); }

void free_backend(ggml_backend_t backend) { delete backend; }

void set_tensor_async(ggml_backend_t /*backend*/, ggml_tensor* tensor, const void* data, std::size_t offset,
                      std::size_t size) {
  ggml_backend_tensor_set(tensor, data, offset, size);  // it takes the bytes over and does not wait
}

void get_tensor_async(ggml_backend_t backend, const ggml_tensor* tensor, void* data, std::size_t offset,
                      std::size_t size) {
  if (size == 0) return;
  const auto region = region_of(*tensor, offset, size);
  auto& device = device_in(backend);
  if (region && remote_buffer_of(*tensor)->owner.stage == device.stage)
    return read_region(device, *tensor, *region, static_cast<char*>(data), true);
  ggml_backend_tensor_get(tensor, data, offset, size);
}

/// Computed, or a part of what is; not what stays in memory from graph to graph, as weights and the KV cache.
bool is_result(const ggml_tensor& tensor) {
  const auto& made = tensor.view_src != nullptr ? *tensor.view_src : tensor;
  return made.op != GGML_OP_NONE;
}

/// How a tensor travels from worker to worker. The plan's format is for hidden states: whole f32 results of a
/// graph. What has another type, is memory from token to token, or has rows that are no whole blocks travels
/// as it is.
Format wire_format(const StageDevice& device, const ggml_tensor& tensor) {
  const auto wanted = device.streams.plan().wire;
  const bool hidden = tensor.type == GGML_TYPE_F32 && is_result(tensor) && ggml_is_contiguous(&tensor);
  if (wanted == Format::as_is || !hidden) return Format::as_is;
  const auto block = ggml_blck_size(wanted == Format::f16 ? GGML_TYPE_F16 : GGML_TYPE_Q8_0);
  return tensor.ne[0] % block == 0 ? wanted : Format::as_is;
}

/// From worker to worker: the bytes go straight there when the plan says how.
bool hand_off(StageDevice& from, StageDevice& to, Format format, const Region& source, const Region& target) {
  if (from.streams.plan().way(from.stage, to.stage).empty()) return false;
  memory_changes(to);
  const auto tag = from.streams.next_tag();
  from.streams.say(from.stage, Send{tag, static_cast<std::uint32_t>(to.stage), format, source});
  from.streams.say(to.stage, Receive{tag, static_cast<std::uint32_t>(from.stage), target});
  return true;
}

/// ggml asks the backend of `to`.
bool copy_tensor_async(ggml_backend_t from_backend, ggml_backend_t to_backend, const ggml_tensor* from,
                       ggml_tensor* to) {
  auto* const target = remote_buffer_of(*to);
  const auto size = ggml_nbytes(to);
  if (size == 0) return true;  // a micro-batch without results: nothing to copy, nothing to wait for
  const auto region = region_of(*to, 0, size);
  if (target == nullptr || !region || device_of(to_backend) != &target->owner) return false;
  auto& device = target->owner;
  const auto* const holder = from->view_src != nullptr ? from->view_src->buffer : from->buffer;
  if (holder != nullptr && ggml_backend_buffer_is_host(const_cast<ggml_backend_buffer_t>(holder))) {
    ggml_backend_synchronize(from_backend);
    set_bytes(device, *to, *region, static_cast<const char*>(from->data));
    return true;
  }
  auto* const source = remote_buffer_of(*from);
  const auto source_region = region_of(*from, 0, size);
  if (source == nullptr || !source_region) return false;
  needs_weights(source->owner, source_region->buffer);
  if (&source->owner != &device)
    return hand_off(source->owner, device, wire_format(device, *from), *source_region, *region);
  memory_changes(device);
  device.streams.say(device.stage, Copy{*source_region, region->buffer, region->offset});
  return true;
}

/// Called several times a token, before each input is set. What was said need not even be written then: data
/// was taken over.
void synchronize(ggml_backend_t backend) {
  auto& device = device_in(backend);
  device.streams.wait_for_reads(device.stage);
}

/// The number of the graph at the worker, which has it now; 0 when there is nothing in it to compute. Nothing
/// when it cannot be described.
std::optional<std::uint64_t> graph_at_worker(StageDevice& device, const ggml_cgraph& graph) {
  if (const auto known = device.graphs.find(graph.uid); known != 0) return known;
  auto described = describe(graph, device, device.graphs.next_id());
  if (!described) {
    device.streams.fail(device.stage, described.error().message);
    return {};
  }
  if (described->node_count == 0) return 0;
  const auto id = described->id;
  device.streams.say_graph(device.stage, described.value(), device.graphs.base_for(described.value()));
  for (const auto dropped : device.graphs.keep(graph.uid, std::move(described.value())))
    device.streams.say(device.stage, DropGraph{dropped});
  return id;
}

/// Tokens that go through a graph: the rows of what it computes first. What it ends with may be less.
std::uint32_t rows_of(const ggml_cgraph& graph) {
  for (int i = 0; i < graph.n_nodes; ++i) {
    const auto& node = *graph.nodes[i];
    if (!ops::is_view_only(node.op) && !ggml_is_empty(&node)) return static_cast<std::uint32_t>(node.ne[1]);
  }
  return 0;
}

/// Asks for the results that were read after such a graph before; the last request, 0 when there are none.
std::uint32_t ask_ahead(StageDevice& device, const ggml_cgraph& graph) {
  std::uint32_t last = 0;
  for (int i = 0; i < graph.n_nodes; ++i) {
    const auto& node = *graph.nodes[i];
    // What is not computed this time is not read: a part of a prompt without logits carries along the
    // sampling.
    if ((node.flags & GGML_TENSOR_FLAG_COMPUTE) == 0) continue;
    if (node.name[0] == '\0' || !is_result(node) || !device.ahead.knows(node.name)) continue;
    const auto region = region_of(node, 0, ggml_nbytes(&node));
    if (!region || region->size == 0) continue;
    last = device.streams.ask(device.stage, *region, device.ahead.prepare(*region));
  }
  return last;
}

ggml_status graph_compute(ggml_backend_t backend, ggml_cgraph* graph) {
  auto& device = device_in(backend);
  if (device.streams.failed()) return GGML_STATUS_FAILED;
  if (device.references != nullptr && !device.references->complete()) return GGML_STATUS_FAILED;
  const std::lock_guard guard(device.lock);
  device.ahead.clear();
  if (device.tracer != nullptr) device.tracer->look();
  const auto id = graph_at_worker(device, *graph);
  if (!id) return GGML_STATUS_FAILED;
  if (*id != 0) {
    device.streams.say(device.stage, Run{*id});
    auto& trace = device.streams.trace();
    if (trace.on()) trace.said(device.stage, *id, rows_of(*graph), Clock::now(), device.splits);
  }
  const auto request = ask_ahead(device, *graph);
  // Until the last stage has its part there is more to say at once: all of it goes in one packet a stage. So
  // it is until the last part of a graph whose tensors are split.
  device.last_graph = graph->uid;
  const bool last =
      device.stage + 1 == device.streams.plan().stages.size() && !device.summed.contains(graph->uid);
  const bool fine = request != 0 ? device.streams.wait(device.stage, request)
                                 : (last ? device.streams.flush() : !device.streams.failed());
  if (!fine) {
    device.ahead.clear();
    return GGML_STATUS_FAILED;
  }
  device.ahead.complete();
  return GGML_STATUS_SUCCESS;
}

ggml_guid_t backend_guid() {
  static ggml_guid guid = {0x43, 0x61, 0x72, 0x61, 0x76, 0x61, 0x6e, 0x20,
                           0x66, 0x61, 0x62, 0x72, 0x69, 0x63, 0x20, 0x31};
  return &guid;
}

constexpr ggml_backend_i kBackendInterface = {
    .get_name = name_of_backend,
    .free = free_backend,
    .set_tensor_async = set_tensor_async,
    .get_tensor_async = get_tensor_async,
    .set_tensor_2d_async = nullptr,
    .get_tensor_2d_async = nullptr,
    .cpy_tensor_async = copy_tensor_async,
    .synchronize = synchronize,
    .graph_plan_create = nullptr,
    .graph_plan_free = nullptr,
    .graph_plan_update = nullptr,
    .graph_plan_compute = nullptr,
    .graph_compute = graph_compute,
    .event_record = nullptr,  // one stream in order and data taken over at once: there is nothing to wait for
    .event_wait = nullptr,
    .graph_optimize = nullptr,
};

}  // namespace

ggml_backend_t new_backend(StageDevice& device) {
  return new ggml_backend{
      .guid = backend_guid(), .iface = kBackendInterface, .device = &device.device, .context = &device};
}

StageDevice* device_of(ggml_backend_t backend) {
  const bool mine = backend != nullptr && backend->iface.graph_compute == graph_compute;
  return mine ? &device_in(backend) : nullptr;
}

void memory_changes(StageDevice& device) {
  const std::lock_guard guard(device.lock);
  device.ahead.clear();
}

void needs_weights(StageDevice& device, std::uint32_t buffer) {
  if (device.references != nullptr) device.references->complete_buffer(device.stage, buffer);
}

void read_region(StageDevice& device, const ggml_tensor& tensor, const Region& region, char* to, bool later) {
  {
    const std::lock_guard guard(device.lock);
    if (const auto* have = device.ahead.find(region)) {
      std::memcpy(to, have, region.size);
      return;
    }
    // llama-server keeps copies of its KV cache, read through views of it: once for many graphs.
    if (is_result(tensor)) device.ahead.learn(tensor.name);
  }
  needs_weights(device, region.buffer);
  const auto request = device.streams.ask(device.stage, region, to);
  if (later)
    device.streams.flush();
  else
    device.streams.wait(device.stage, request);
}

}  // namespace caravan::fabric
