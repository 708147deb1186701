// One measured speed of the engine's kernels on a device: the words that whoever measures and whoever plans
// have in common. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace caravan {

/// What was measured, and what its rate counts per second.
enum class Quantity {
  memory,     ///< plain reading: bytes
  decode,     ///< weights times one column: bytes of weights
  prefill,    ///< weights times many columns: multiply-adds
  attention,  ///< keys and values in f16 times `columns` queries: multiply-adds
  small_op,   ///< the operations between the matrices, for one column: operations
  elements,   ///< the same for many columns: numbers written
  store,      ///< weights put into memory in their layout, by one thread: bytes of weights
};

std::string_view name_of(Quantity quantity);

/// `layout` of weights as they are in the file.
inline constexpr std::string_view kPlainLayout = "plain";

struct Measurement {
  Quantity quantity = Quantity::memory;
  std::string type;  ///< of the weights, as ggml calls it: "q4_K"; empty where there are none
  std::string
      layout;  ///< kPlainLayout, or the engine's buffer type: "CPU_REPACK"; empty where there are none
  int threads = 1;
  int columns = 1;  ///< tokens at once
  double rate = 0;  ///< per second, what of: see Quantity; finite and above 0
  Bytes touched;    ///< memory that is gone through before anything is read again: no cache holds it
  /// Part of the processor time that it got, 0 to 1, of the time that it could have had: below 0.9 others
  /// were busy.
  double share = 1;

  bool plain() const { return layout.empty() || layout == kPlainLayout; }
};

Json to_json(const Measurement& measurement);
/// Code::invalid with the field that is wrong. Unknown fields are ignored.
Result<Measurement> measurement_from_json(const Json& value);

}  // namespace caravan
