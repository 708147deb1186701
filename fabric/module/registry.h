// What ggml gets from the module: one registry with a device for each stage of the plan.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fabric/module/device.h"

namespace caravan::fabric {

class Registry {
 public:
  /// Connects to all stages of the plan in `file`. Blocks for the plan's time-out a stage at most.
  static Result<std::unique_ptr<Registry>> open(const std::filesystem::path& file, const std::string& engine);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  ggml_backend_reg_t registry() { return &registry_; }
  std::size_t size() const { return devices_.size(); }
  ggml_backend_dev_t device(std::size_t index) { return index < size() ? &devices_[index]->device : nullptr; }

 private:
  Registry(std::unique_ptr<Streams> streams, std::optional<Contents> contents);

  std::unique_ptr<Streams> streams_;
  std::unique_ptr<References> references_;  ///< may be null
  Tracer tracer_;
  ggml_backend_reg registry_;
  std::vector<std::unique_ptr<StageDevice>> devices_;
};

}  // namespace caravan::fabric
