// What the measuring child says on its standard output: one JSON object a line. Pure; the reader takes
// anything.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/measurement.h"
#include "base/result.h"

namespace caravan::engine {

/// First: the libraries are loaded.
struct KernelsLoaded {
  std::string ggml;     ///< "0.25.1"
  std::string library;  ///< "libggml-cpu.so", or the variant that was taken
};

/// KernelSkipped::reason for a type that the engine leaves as it is on this processor.
inline constexpr const char* kNoSpecialLayout = "this processor has no special layout for it";

/// Something that was left out, and why.
struct KernelSkipped {
  std::string type;
  std::string layout;  ///< empty: all of them
  std::string reason;
};

/// Last: everything that was to be measured is.
struct KernelsDone {};

using KernelLine = std::variant<KernelsLoaded, Measurement, KernelSkipped, KernelsDone, Error>;

/// Without the line end.
std::string to_text(const KernelLine& line);
/// Nothing for a line that is no JSON object: the engine's libraries write there as well. An Error
/// alternative for an object that is none of these lines or has a wrong field.
std::optional<KernelLine> parse_kernel_line(std::string_view text);

}  // namespace caravan::engine
