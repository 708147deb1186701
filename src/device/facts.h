// Everything that Caravan wants to know about the device that it runs on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "device/android.h"
#include "device/cores.h"
#include "device/memory.h"
#include "device/power.h"
#include "device/source.h"
#include "device/system_view.h"
#include "device/wifi.h"

namespace caravan::device {

struct StorageFacts {
  fs::path folder;
  Bytes free;  ///< for this user
};

struct ProcessorFacts {
  std::optional<std::string> name;    ///< e.g. "Qualcomm SM8550"
  std::string architecture;           ///< e.g. "aarch64"
  std::vector<std::string> features;  ///< features_that_matter(), those that all cores have
};

/// A fact that is absent and not in `hidden` does not exist on this device: a board has no battery.
struct DeviceFacts {
  std::optional<std::string> model;     ///< e.g. "Google Pixel 8"
  std::optional<AndroidFacts> android;  ///< nothing: it is not Android
  bool termux = false;
  MemoryFacts memory;
  ProcessorFacts processor;
  CoreFacts cores;
  std::optional<StorageFacts> storage;
  std::optional<BatteryFacts> battery;
  std::vector<ThermalZone> thermal_zones;
  std::optional<WifiFacts> wifi;
  std::vector<Address> addresses;
  HiddenFacts hidden;
};

/// Blocks: for some hundred small files, and for programs that may each take 5 seconds (Termux:API without
/// its app does). Never on an event loop. Any thread.
DeviceFacts read_device_facts(const SystemView& system);

}  // namespace caravan::device
