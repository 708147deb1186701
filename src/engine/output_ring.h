// What a program has written, as much as it takes to explain its end. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "engine/output.h"

namespace caravan::engine {

/// Keeps the first and the last lines and the first troubles; memory is bounded by the counts below and
/// kMaxLineBytes.
class OutputRing {
 public:
  static constexpr std::size_t kFirstLines = 16;
  static constexpr std::size_t kLastLines = 48;
  static constexpr std::size_t kTroubles = 16;

  void add(std::string_view line);
  void add_trouble(const Trouble& trouble);
  /// What went wrong before no longer matters: the program has got over it.
  void forget_troubles() { troubles_.clear(); }

  const std::vector<Trouble>& troubles() const { return troubles_; }
  /// All lines that are kept, in order.
  std::vector<std::string> lines() const;
  /// The first and last lines with a mark for what was left out between them, for a report.
  std::string summary() const;

 private:
  std::vector<std::string> first_;
  std::deque<std::string> last_;
  std::size_t left_out_ = 0;
  std::vector<Trouble> troubles_;
};

}  // namespace caravan::engine
