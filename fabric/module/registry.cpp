#include "fabric/module/registry.h"

#include <cstdio>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "fabric/module/all_reduce.h"

namespace caravan::fabric {
namespace {

Registry& registry_in(ggml_backend_reg_t registry) { return *static_cast<Registry*>(registry->context); }

const char* registry_name(ggml_backend_reg_t /*registry*/) { return "Caravan"; }

std::size_t device_count(ggml_backend_reg_t registry) { return registry_in(registry).size(); }

ggml_backend_dev_t device_at(ggml_backend_reg_t registry, std::size_t index) {
  return registry_in(registry).device(index);
}

void* function_called(ggml_backend_reg_t /*registry*/, const char* name) { return all_reduce_function(name); }

/// Before there are connections: nobody waits for an answer while a model is hashed. What cannot be referred
/// to is sent.
std::optional<Contents> contents_of(const Plan& plan) {
  if (plan.model.empty()) return {};
  auto contents = Contents::open(plan.model, plan.manifests);
  if (contents) return std::move(*contents);
  std::fputs(fmt::format("caravan-fabric: all weights are sent: {}\n", contents.error().message).c_str(),
             stderr);
  return {};
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(const std::filesystem::path& file,
                                                 const std::string& engine) {
  auto plan = read_plan(file);
  if (!plan) return plan.error();
  auto contents = contents_of(*plan);
  auto streams = Streams::open(std::move(plan.value()), engine);
  if (!streams) return streams.error();
  return std::unique_ptr<Registry>(new Registry(std::move(streams.value()), std::move(contents)));
}

Registry::Registry(std::unique_ptr<Streams> streams, std::optional<Contents> contents)
    : streams_(std::move(streams)),
      tracer_(*streams_, streams_->plan().trace),
      registry_{GGML_BACKEND_API_VERSION, {registry_name, device_count, device_at, function_called}, this} {
  if (contents) references_ = std::make_unique<References>(*streams_, std::move(*contents));
  const auto count = streams_->plan().stages.size();
  devices_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    devices_.push_back(std::make_unique<StageDevice>(*streams_, i, &registry_));
    devices_.back()->references = references_.get();
  }
  devices_.front()->tracer = &tracer_;
}

}  // namespace caravan::fabric
