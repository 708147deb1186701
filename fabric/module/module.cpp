// The entry of libggml-caravan.so: llama-server loads it through GGML_BACKEND_PATH and calls
// ggml_backend_init().
#include <cstdio>

#include <fmt/format.h>

#include "base/files.h"
#include "fabric/module/registry.h"
#include "fabric/ops/engine.h"

namespace {

/// Names the file of the plan.
constexpr const char* kPlanVariable = "CARAVAN_FABRIC_PLAN";

caravan::Result<std::unique_ptr<caravan::fabric::Registry>> open_registry() {
  const auto file = caravan::environment(kPlanVariable);
  if (!file)
    return caravan::Error{caravan::Code::invalid, fmt::format("{} is not set", kPlanVariable),
                          "set it to the plan's file"};
  return caravan::fabric::Registry::open(*file, caravan::fabric::engine_build());
}

/// All devices of the plan or none: with part of them the engine would run with another split than was
/// planned.
ggml_backend_reg_t open_once() {
  auto opened = open_registry();
  if (!opened) {
    const auto& error = opened.error();
    const auto line =
        fmt::format("caravan: {}{}{}\n", error.message, error.hint.empty() ? "" : "; ", error.hint);
    std::fputs(line.c_str(), stderr);
    return nullptr;
  }
  // Never freed: ggml keeps the registry until the process ends, and uses it while it does.
  return opened.value().release()->registry();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
  static ggml_backend_reg_t const registry = open_once();
  return registry;
}
