// How much the processor's caches hold, as far as the system tells.
#pragma once

#include <optional>

#include "base/files.h"
#include "base/units.h"

namespace caravan::device {

/// The largest cache of any core, from <root>/sys/devices/system/cpu/cpu*/cache/index*/size ("32768K"; kernel
/// documentation, ABI/testing/sysfs-devices-system-cpu). Nothing where that is hidden, as on some Android
/// devices. Blocks for a few small files.
std::optional<Bytes> largest_cache(const fs::path& root = "/");

/// How much to go through in turn so that what comes again is in no cache: three times `cache`, at least 64
/// MiB, at most 256 MiB, and never more than a quarter of what is available.
Bytes measuring_pool(std::optional<Bytes> cache, Bytes available);

}  // namespace caravan::device
