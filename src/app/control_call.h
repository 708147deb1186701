// What every caller of a node's control API has in common: its requests, and what a reply says.
#pragma once

#include <cstddef>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "engine/http_client.h"

namespace caravan::app {

/// Requests are made here and named by the caller, see docs/decisions/0006.
engine::HttpRequest request_for(std::string method, std::string target, std::string body = "");

/// The reply's JSON of at most `most` bytes, or the error that the node has answered with.
Result<Json> json_of(const engine::HttpReply& reply, std::size_t most);

}  // namespace caravan::app
