// Facts of a model by its name, for commands: also of one that is not downloaded.
#pragma once

#include <string>

#include "base/result.h"
#include "model/gguf.h"

namespace caravan::cli {

struct LocatedFacts {
  model::ModelFacts facts;
  std::string where;  ///< its path, or where else the facts come from
  bool is_here = false;
};

/// Of the file that is here, else of the one that the catalogue names: then its header is read from where it
/// would come from. Blocks; Ctrl-C ends it with Code::interrupted.
Result<LocatedFacts> facts_of(const std::string& name);

}  // namespace caravan::cli
