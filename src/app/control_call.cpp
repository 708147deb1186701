#include "app/control_call.h"

#include <utility>

namespace caravan::app {

engine::HttpRequest request_for(std::string method, std::string target, std::string body) {
  engine::HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  return request;
}

Result<Json> json_of(const engine::HttpReply& reply, std::size_t most) {
  auto json = parse_json(reply.body, most);
  if (!json) return with_context(json.error(), "the node's reply");
  if (reply.status < 300) return json;
  const bool explained = json->is_object() && json->contains("error");
  return explained ? error_from_json((*json)["error"])
                   : Error{Code::bug, "the node answered " + std::to_string(reply.status), ""};
}

}  // namespace caravan::app
