// Progress of a download as a redrawn line, or as lines of JSON.
#pragma once

#include <string>

#include "cli/interrupt.h"
#include "cli/print.h"
#include "model/progress.h"

namespace caravan::cli {

/// Holds Ctrl-C while it exists: the transfer is told of it, and ends so that it can go on later.
class TransferReport {
 public:
  TransferReport(std::string what, bool json) : what_(std::move(what)), json_(json) {}

  model::TransferControl control();
  void clear() { line_.clear(); }

 private:
  void show(const model::Progress& progress);

  std::string what_;
  bool json_;
  ProgressLine line_;
  InterruptFlag interrupt_;
};

}  // namespace caravan::cli
