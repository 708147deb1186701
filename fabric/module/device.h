// One ggml device a stage of the plan, and what belongs to it: its buffer type, the graphs that its worker
// has, what was read ahead. The functions of ggml's interface are in device.cpp, buffer.cpp and backend.cpp;
// none of them aborts, and those that cannot report an error leave it to the next graph.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>

#include <ggml-backend-impl.h>

#include "fabric/module/address_range.h"
#include "fabric/module/graph_cache.h"
#include "fabric/module/read_ahead.h"
#include "fabric/module/references.h"
#include "fabric/module/streams.h"
#include "fabric/module/tracer.h"

namespace caravan::fabric {

struct StageDevice {
  StageDevice(Streams& all, std::size_t number, ggml_backend_reg_t registry);
  StageDevice(const StageDevice&) = delete;
  StageDevice& operator=(const StageDevice&) = delete;

  Streams& streams;
  const std::size_t stage;
  const std::string name;         ///< "Caravan0"
  const std::string description;  ///< of the device and its worker, for logs
  ggml_backend_device device;     ///< this is its context
  ggml_backend_buffer_type buffers;
  References* references = nullptr;  ///< null when all weights are sent
  Tracer* tracer = nullptr;          ///< of the first stage; null for all others

  std::mutex lock;  ///< guards what follows
  GraphCache graphs;
  ReadAhead ahead;
  std::set<std::uint32_t> buffer_numbers;  ///< in use
  std::uint64_t last_graph = 0;            ///< uid of the one that was run last, 0: it has none
  std::set<std::uint64_t> summed;          ///< uids of graphs after which all stages' results were added up
  bool splits = false;                     ///< tensors are split between the stages, and have been added up
  /// Names of weights that the loader asked about as the matrix of a product, and as anything else.
  std::set<std::string, std::less<>> matrices;
  std::set<std::string, std::less<>> others;
};

/// What ggml calls a buffer of ours.
struct RemoteBuffer {
  StageDevice& owner;
  std::uint32_t number;
  AddressRange range;
};

/// Null when the buffer is not one of ours.
RemoteBuffer* remote_buffer(ggml_backend_buffer_t buffer);
/// The buffer that holds a tensor, or the tensor that it is a view of. Null for none or another backend's.
RemoteBuffer* remote_buffer_of(const ggml_tensor& tensor);
/// `size` bytes of the tensor from `offset`. Nothing when they are not in a buffer of ours.
std::optional<Region> region_of(const ggml_tensor& tensor, std::size_t offset, std::size_t size);

ggml_backend_device_i device_interface();
ggml_backend_buffer_type_i buffer_type_interface();
/// A stream of commands to the device; null when there is no memory for it.
ggml_backend_t new_backend(StageDevice& device);
/// Null when it is not one of ours.
StageDevice* device_of(ggml_backend_t backend);

/// Reads `region` into `to`, from what was read ahead or from the worker. Does not wait when `later`: a wait
/// for the stage's reads does. Device's lock must not be held.
void read_region(StageDevice& device, const ggml_tensor& tensor, const Region& region, char* to, bool later);
/// What comes before any command that changes the stage's memory.
void memory_changes(StageDevice& device);
/// What comes before any command that reads a buffer or changes it in part: its weights have to be there.
void needs_weights(StageDevice& device, std::uint32_t buffer);

}  // namespace caravan::fabric
