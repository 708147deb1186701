#include "device/facts.h"

#include <memory>

#include "base/text.h"

namespace caravan::device {
namespace {

/// The name on the box, where it is not Android that knows it: a board's device tree, a computer's firmware.
std::optional<std::string> read_model(const fs::path& root) {
  if (auto board = read_line(root / "proc/device-tree/model")) return board;
  auto product = read_line(root / "sys/class/dmi/id/product_name");
  const auto vendor = read_line(root / "sys/class/dmi/id/sys_vendor");
  if (product && vendor && product->rfind(*vendor, 0) != 0) return *vendor + " " + *product;
  return product;
}

/// The chip's name: Android's property, x86's model name, older Arm kernels' "Hardware", else the second half
/// of the last name in the device tree's "compatible" ("brcm,bcm2712").
std::optional<std::string> processor_name(const fs::path& root, const Cpuinfo& info,
                                          const std::optional<AndroidFacts>& android) {
  if (android && android->processor) return android->processor;
  if (!info.model_name.empty()) return info.model_name;
  if (!info.hardware.empty()) return info.hardware;
  const auto compatible = read_text(root / "proc/device-tree/compatible");
  if (!compatible) return std::nullopt;
  const auto names = split(*compatible, '\0');
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const std::size_t comma = name->find(',');
    if (comma != std::string::npos && comma + 1 < name->size()) return name->substr(comma + 1);
  }
  return std::nullopt;
}

void read_processor(const SystemView& view, DeviceFacts& facts) {
  const auto text = read_text(view.root / "proc/cpuinfo");
  const Cpuinfo info = parse_cpuinfo(text ? *text : "");
  facts.processor.architecture = view.machine;
  facts.processor.features = features_that_matter(info.features);
  facts.processor.name = processor_name(view.root, info, facts.android);
  if (!facts.processor.name) {
    facts.hidden.push_back(
        {"processor.name", text ? "/proc/cpuinfo does not say it" : why(text.error()), ""});
  }
  if (info.features.empty()) {
    facts.hidden.push_back(
        {"processor.features", text ? "/proc/cpuinfo does not say it" : why(text.error()), ""});
  }
  facts.cores = read_cores(view.root, info, facts.hidden);
}

void read_network(const SystemView& view, bool android, DeviceFacts& facts) {
  facts.wifi = read_wifi(view, android, facts.hidden);
  if (!view.addresses) return;
  auto addresses = view.addresses();
  if (addresses) {
    facts.addresses = std::move(*addresses);
  } else {
    facts.hidden.push_back({"addresses", addresses.error().message, addresses.error().hint});
  }
}

void read_storage(const SystemView& view, DeviceFacts& facts) {
  if (!view.free_space) return;
  const auto free = view.free_space(view.storage);
  if (free) {
    facts.storage = StorageFacts{view.storage, *free};
  } else {
    facts.hidden.push_back({"storage", free.error().message, free.error().hint});
  }
}

/// Where Termux:API's app is missing none of its programs ends: after the first the others are not waited
/// for.
RunProgram patient_once(RunProgram run) {
  if (!run) return run;
  return [run = std::move(run), silence = std::make_shared<std::optional<Error>>()](
             const std::vector<std::string>& arguments,
             std::chrono::milliseconds deadline) -> Result<std::string> {
    const bool of_termux = arguments.front().rfind("termux-", 0) == 0;
    if (of_termux && *silence) return **silence;
    auto output = run(arguments, deadline);
    if (of_termux && !output && output.error().code == Code::unavailable) *silence = output.error();
    return output;
  };
}

}  // namespace

DeviceFacts read_device_facts(const SystemView& system) {
  SystemView view = system;
  view.run = patient_once(system.run);
  DeviceFacts facts;
  facts.android = read_android(view, facts.hidden);
  facts.termux = is_termux(view.root);
  facts.model = facts.android ? facts.android->model : read_model(view.root);
  if (!facts.model && !facts.android) {
    facts.hidden.push_back({"model", "neither device tree nor firmware tells it", ""});
  }
  facts.memory = read_memory(view.root, facts.hidden);
  read_processor(view, facts);
  read_storage(view, facts);
  facts.battery = read_battery(view, facts.android.has_value(), facts.hidden);
  facts.thermal_zones = read_thermal_zones(view.root, facts.hidden);
  read_network(view, facts.android.has_value(), facts);
  return facts;
}

}  // namespace caravan::device
