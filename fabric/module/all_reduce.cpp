#include "fabric/module/all_reduce.h"

#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "fabric/module/device.h"
#include "fabric/wire/reduce_message.h"

namespace caravan::fabric {
namespace {

/// More graphs that are followed by a sum than a device keeps.
constexpr std::size_t kSummedKept = 4096;

/// One of a context's devices that has the tensors between which sums are made.
struct Part {
  StageDevice* device;
  const ggml_tensor* tensor;
  Region region;
  bool computed;
};

class AllReduce {
 public:
  explicit AllReduce(std::vector<StageDevice*> devices) : devices_(std::move(devices)) {
    direct_ = streams().plan().all_reach_all();
    const auto how =
        direct_ ? "by the workers themselves" : "through the master: not all workers reach each other";
    std::fputs(
        fmt::format("caravan-fabric: split tensors of {} stages are added up {}\n", devices_.size(), how)
            .c_str(),
        stderr);
  }

  /// One tensor of each device. False when it cannot be done here.
  bool add_up(ggml_tensor** tensors) {
    std::vector<Part> parts;
    parts.reserve(devices_.size());
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const auto part = part_of(*devices_[i], *tensors[i]);
      if (!part || part->region.size != ggml_nbytes(tensors[0])) return false;
      parts.push_back(*part);
    }
    if (parts.front().region.size == 0) return true;
    for (auto* device : devices_) {
      memory_changes(*device);
      remember(*device);
    }
    // When the plan has failed the next graph says so. ggml's own way would only try the same again.
    if (direct_)
      tell(parts);
    else
      carry(parts);
    return true;
  }

 private:
  Streams& streams() { return devices_.front()->streams; }

  static std::optional<Part> part_of(StageDevice& device, const ggml_tensor& tensor) {
    if (tensor.type != GGML_TYPE_F32 || !ggml_is_contiguous(&tensor)) return {};
    const auto region = region_of(tensor, 0, ggml_nbytes(&tensor));
    if (!region || &remote_buffer_of(tensor)->owner != &device) return {};
    return Part{&device, &tensor, *region, (tensor.flags & GGML_TENSOR_FLAG_COMPUTE) != 0};
  }

  /// The graph that was run last is followed by a sum, and will be each time that it is run.
  static void remember(StageDevice& device) {
    const std::lock_guard guard(device.lock);
    device.splits = true;
    if (device.last_graph == 0) return;
    if (device.summed.size() >= kSummedKept) device.summed.clear();
    device.summed.insert(device.last_graph);
  }

  void tell(const std::vector<Part>& parts) {
    Reduce reduce;
    reduce.tag = streams().next_tag();
    for (const auto& part : parts) {
      const auto bit = StageSet{1} << part.device->stage;
      reduce.members |= bit;
      if (part.computed) reduce.contributors |= bit;
    }
    for (const auto& part : parts) {
      reduce.region = part.region;
      streams().say(part.device->stage, reduce);
    }
  }

  void carry(const std::vector<Part>& parts) {
    const auto size = parts.front().region.size;
    std::vector<std::string> values(parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!parts[i].computed) continue;
      values[i].resize(size);
      streams().ask(parts[i].device->stage, parts[i].region, values[i].data());
    }
    bool fine = true;
    for (const auto& part : parts) fine = streams().wait_for_reads(part.device->stage) && fine;
    if (!fine) return;
    const auto sum = sum_of(values, size);
    for (const auto& part : parts) {
      for (std::size_t done = 0; done < sum.size(); done += kMaxChunk)
        streams().say(part.device->stage, Set{part.region.buffer, part.region.offset + done,
                                              std::string_view(sum).substr(done, kMaxChunk)});
    }
  }

  /// Those that are empty count as zeros.
  static std::string sum_of(const std::vector<std::string>& values, std::size_t size) {
    std::vector<float> sum(size / sizeof(float));
    std::vector<float> next(sum.size());
    bool first = true;
    for (const auto& each : values) {
      if (each.empty()) continue;
      std::memcpy(next.data(), each.data(), size);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = first ? next[i] : sum[i] + next[i];
      first = false;
    }
    return {reinterpret_cast<const char*>(sum.data()), size};
  }

  const std::vector<StageDevice*> devices_;
  bool direct_ = false;
};

/// Null when not all of them are devices of one plan: then ggml adds up by itself.
void* init(ggml_backend_t* backends, std::size_t count) {
  std::vector<StageDevice*> devices;
  devices.reserve(count);
  StageSet seen = 0;
  for (std::size_t i = 0; i < count; ++i) {
    auto* const device = device_of(backends[i]);
    if (device == nullptr || has_stage(seen, static_cast<std::uint32_t>(device->stage))) return nullptr;
    seen |= StageSet{1} << device->stage;
    devices.push_back(device);
  }
  return devices.empty() ? nullptr : new AllReduce(std::move(devices));
}

void end(void* context) { delete static_cast<AllReduce*>(context); }

bool add_up(void* context, ggml_tensor** tensors) {
  return static_cast<AllReduce*>(context)->add_up(tensors);
}

}  // namespace

void* all_reduce_function(const char* name) {
  const std::string_view wanted(name);
  const ggml_backend_comm_init_t first = init;
  const ggml_backend_comm_free_t last = end;
  const ggml_backend_comm_allreduce_tensor_t between = add_up;
  if (wanted == "ggml_backend_comm_init") return reinterpret_cast<void*>(first);
  if (wanted == "ggml_backend_comm_free") return reinterpret_cast<void*>(last);
  if (wanted == "ggml_backend_comm_allreduce_tensor") return reinterpret_cast<void*>(between);
  return nullptr;
}

}  // namespace caravan::fabric
