// Checks requests for completions at the edge: what reaches llama-server has the right shape. Pure.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "gateway/openai_error.h"
#include "gateway/prompt_prefix.h"

namespace caravan::gateway {

enum class Endpoint { chat, completion };

struct GenerationRequest {
  Endpoint endpoint = Endpoint::chat;
  bool stream = false;
  std::string model;  ///< as the client names it; empty: it names none
  /// Of the texts of `messages` or `prompt`, in the order in which they stand.
  PromptPrefix prompt;
};

/// A wrong body is a 400 whose `param` names the field. Fields that are not known here are left to
/// llama-server; null counts as absent. Reads `body` once and makes no tree of it.
std::variant<GenerationRequest, ApiError> check_generation_request(Endpoint endpoint, std::string_view body);

}  // namespace caravan::gateway
