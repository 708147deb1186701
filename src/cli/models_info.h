// What `caravan models info` shows: the facts of one model, and the memory that it needs. Pure.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "model/gguf.h"
#include "model/memory_need.h"

namespace caravan::cli {

/// The options that change what is asked, as they are on the command line.
struct InfoOptions {
  std::uint64_t context = 2048;
  std::uint64_t parallel = 1;
  std::uint64_t ubatch = 512;
  std::string kv_type = "f16";    ///< or "q8_0,f16": keys, then values
  std::string flash_attn = "on";  ///< or "off"
  std::string layers;             ///< "4-11", "none", or "" for all
  bool is_worker = false;
  bool has_head = true;
  bool unified = false;
  bool pipelined = false;
};

/// Code::invalid, naming the option, for what makes no sense with this model.
Result<model::MemoryQuestion> question_of(const InfoOptions& options, const model::ModelFacts& facts);

/// One screen. `where` is a path or where else the facts come from.
std::string info_text(const model::ModelFacts& facts, const model::MemoryQuestion& question,
                      const std::string& where);
Json info_json(const model::ModelFacts& facts, const model::MemoryQuestion& question,
               const std::string& where);

}  // namespace caravan::cli
