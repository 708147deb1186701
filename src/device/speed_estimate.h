// From measured kernels to tokens a second of one model on one device alone: an estimate, with what it is
// made of. Pure. The formula and how close it comes: docs/calibrate.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "device/speed.h"

namespace caravan::device {

/// Matrices of one type that every token is multiplied with.
struct MatrixWork {
  std::string type;  ///< as ggml calls it: "q4_K"
  Bytes bytes;
  std::uint64_t weights = 0;  ///< how many numbers: multiply-adds a token
};

/// What one token costs.
struct TokenWork {
  std::vector<MatrixWork> layers;  ///< of all layers together
  std::vector<MatrixWork> head;    ///< of a prompt only its last token goes through it
  int operations = 0;    ///< nodes of the engine's graph that compute something, matrices among them
  double elements = 0;   ///< numbers that those between the matrices write
  double attention = 0;  ///< multiply-adds per token that it looks back at, all layers
};

/// Of a plain transformer: 12 operations a layer beside the seven matrices, as llama.cpp builds it with flash
/// attention.
struct TransformerShape {
  int layers = 0;
  std::uint64_t width = 0;
  std::uint64_t feed_forward = 0;
  std::uint64_t query_width = 0;  ///< heads times their size
  std::uint64_t key_width = 0;    ///< key heads times their size
};
/// The work between the matrices; `layers` and `head` are the caller's.
TokenWork work_of(const TransformerShape& shape);
/// Llama-3.2-1B as Q4_K_M: what people get an idea of their device by.
TokenWork one_billion_q4_k_m();

using Seconds = std::chrono::duration<double>;

/// Where the time goes.
struct TimeEstimate {
  Seconds matrices{};
  Seconds attention{};
  Seconds between{};  ///< operations between the matrices, and the fixed cost of every operation

  Seconds total() const { return matrices + attention + between; }
};

/// The next token after `context` others. The engine's special layout where it was measured, else the plain
/// one; types that were not measured are taken from the nearest in size. Nothing when not even those were
/// measured at that thread count.
std::optional<TimeEstimate> estimate_decode(const Speed& speed, const TokenWork& work, int threads,
                                            int context);
/// A prompt of `tokens`, nothing before it, in micro-batches as large as measured.
std::optional<TimeEstimate> estimate_prefill(const Speed& speed, const TokenWork& work, int threads,
                                             int tokens);

/// The measured thread count with the fastest decode, or prefill, of `work`; the smaller one when more bring
/// less than 3 %: others on the device want to compute too, and heat is shared. 0 when nothing was measured.
int best_decode_threads(const Speed& speed, const TokenWork& work);
int best_prefill_threads(const Speed& speed, const TokenWork& work);

}  // namespace caravan::device
