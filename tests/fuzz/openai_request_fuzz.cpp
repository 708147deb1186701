// Bodies of requests for completions. What is accepted must be what a JSON parser of its own accepts too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "gateway/openai_error.h"
#include "gateway/openai_request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto endpoint : {gateway::Endpoint::chat, gateway::Endpoint::completion}) {
    const auto checked = gateway::check_generation_request(endpoint, body);
    if (const auto* error = std::get_if<gateway::ApiError>(&checked)) {
      if (error->status != 400 || error->message.empty()) std::abort();
      if (!parse_json(gateway::error_body(*error), std::size_t{1} << 20U).ok()) std::abort();
      continue;
    }
    const auto parsed = parse_json(body, size);
    if (!parsed.ok() || !parsed->is_object()) std::abort();
    const auto flag = parsed->value("stream", Json(false));
    const bool wanted = flag.is_boolean() && flag.get<bool>();
    if (std::get<gateway::GenerationRequest>(checked).stream != wanted) std::abort();
  }
  (void)gateway::normalized_error_body(500, body);
  return 0;
}
