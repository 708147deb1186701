#include "engine/output_ring.h"

#include <fmt/format.h>

namespace caravan::engine {

void OutputRing::add(std::string_view line) {
  if (first_.size() < kFirstLines) {
    first_.emplace_back(line);
    return;
  }
  last_.emplace_back(line);
  if (last_.size() <= kLastLines) return;
  last_.pop_front();
  ++left_out_;
}

void OutputRing::add_trouble(const Trouble& trouble) {
  if (troubles_.size() < kTroubles) troubles_.push_back(trouble);
}

std::vector<std::string> OutputRing::lines() const {
  std::vector<std::string> all = first_;
  all.insert(all.end(), last_.begin(), last_.end());
  return all;
}

std::string OutputRing::summary() const {
  std::string text;
  for (const std::string& line : first_) text += line + "\n";
  if (left_out_ > 0) text += fmt::format("... {} lines left out ...\n", left_out_);
  for (const std::string& line : last_) text += line + "\n";
  return text;
}

}  // namespace caravan::engine
