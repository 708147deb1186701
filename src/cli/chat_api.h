// What `caravan chat` and `caravan demo` know of an OpenAI-compatible API before they ask it: where it is,
// whether it can answer, which model it serves.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/http_address.h"

namespace caravan::cli {

/// "http://127.0.0.1:8080", with or without a path (which is ignored): an IP address or "localhost".
/// Code::invalid for anything else. Pure.
Result<engine::TcpAddress> parse_api_url(std::string_view text);

/// What GET /health of Caravan, or of another server, says.
struct Readiness {
  bool ready = false;
  std::string model;    ///< "" when it does not say
  double progress = 0;  ///< of loading, 0 to 1; 0 when it does not say
};

/// Errors: no model is served, or it could not be started. A server without /health is taken for ready. Pure.
Result<Readiness> readiness_from(unsigned status, std::string_view body);

/// The first model that GET /v1/models lists. Pure.
Result<std::string> first_model_in(std::string_view body);

/// Waits until the API answers, and calls `on_wait` meanwhile; the model that it serves. No time-out while it
/// loads: that may take minutes. Cancellable. `wanted`: wait for that model; an API that does not know of it
/// is left to say so itself. Empty: for any.
boost::asio::awaitable<Result<std::string>> served_model(engine::TcpAddress address, std::string wanted,
                                                         std::function<void(const Readiness&)> on_wait);

}  // namespace caravan::cli
