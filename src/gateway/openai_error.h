// Errors in the form that clients of OpenAI's API read. Pure.
#pragma once

#include <string>
#include <string_view>

namespace caravan::gateway {

struct ApiError {
  unsigned status = 500;
  std::string message;
  std::string param;  ///< the field of the request that is wrong, or ""
  std::string code;   ///< for programs, e.g. "model_loading", or ""
};

/// {"error":{"message","type","param","code"}}. The type follows from the status; an empty param is null, as
/// is an empty code.
std::string error_body(const ApiError& error);

/// A reply of llama-server with `status` 400 or above, in OpenAI's form whatever its body is.
std::string normalized_error_body(unsigned status, std::string_view upstream_body);

}  // namespace caravan::gateway
