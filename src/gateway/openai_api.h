// The OpenAI-compatible API in front of the llama-servers of replicas.
//
// GET /health, GET /v1/models, GET /v1/models/{id}, POST /v1/chat/completions, POST /v1/completions. Requests
// are checked at the edge and passed on unchanged, byte for byte: the order of the fields of a JSON schema is
// the order in which the model has to write them. Replies are passed back as they come.
//
// While one model is served, every `model` is accepted: clients have names built in. Of several the request
// has to name one, else it is a 404 with their names; without any `model` it goes to the one that is served
// the longest. The reply names the model that answered, which is llama-server's --alias and has to be the
// name shown here.
//
// Errors are always {"error":{"message","type","param","code"}}, whoever made them. A stream that breaks
// after its first event ends with one `data: {"error":...}` and without `[DONE]`.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "base/units.h"
#include "engine/http_client.h"
#include "gateway/http_server.h"
#include "gateway/openai_request.h"

namespace caravan::gateway {

/// What the gateway needs to know of the replica at the moment of a request.
struct ReplicaView {
  enum class Phase { none, starting, loading, ready, failed, unknown };  // unknown: not the model asked for
  Phase phase = Phase::none;
  double progress = 0;  ///< of loading, 0 to 1
  std::string message;  ///< why it is not ready: one line of cause ...
  std::string hint;     ///< ... and one of cure
  engine::HttpAddress backend;
  std::string model;            ///< the name that clients see
  std::shared_ptr<void> lease;  ///< held while a request runs there: whoever chooses replicas counts by it
  std::int64_t created = 0;     ///< seconds since 1970
};

/// What a request says that matters for where it goes. Borrowed for the call.
struct ReplicaQuery {
  std::string model;  ///< as the client names it; empty: it names none
  /// Null when nothing is going to be generated: somebody asks what is there.
  const PromptPrefix* prompt = nullptr;
};

/// Whoever knows the replicas. Neither may block.
struct Replicas {
  std::function<ReplicaView(const ReplicaQuery&)> choose;
  std::function<std::vector<std::string>()> models;  ///< names of those that are to be served, oldest first
};

class OpenAiApi {
 public:
  struct Options {
    /// Refuse what web pages of other sites send (a foreign Host or Origin): for servers on loopback.
    bool local_only = true;
    std::chrono::milliseconds connect_time{10'000};
    /// Between two pieces of a stream, and before its first: a long prompt on slow phones takes minutes.
    std::chrono::milliseconds silence_time{600'000};
    /// For a whole request; a reply that is not streamed is silent until it is complete.
    std::chrono::milliseconds total_time{3'600'000};
    std::size_t reply_bytes = std::size_t{32} << 20U;  ///< of a reply that is not streamed
  };

  /// `replicas.choose` is asked once a request.
  OpenAiApi(Replicas replicas, Options options);

  /// A Handler for HttpServer. This must outlive the server's handlers. Never throws but for cancellation.
  asio::awaitable<void> handle(Request request, Responder& responder);

  /// Requests that llama-server is working on now.
  std::size_t in_flight() const;
  /// The models that these are for.
  std::vector<std::string> answering() const;

 private:
  asio::awaitable<void> report_health(Responder& responder);
  asio::awaitable<void> show_model(std::string id, Responder& responder);
  asio::awaitable<void> inform(const Request& request, Responder& responder);
  asio::awaitable<void> generate(Request request, Responder& responder);
  asio::awaitable<void> forward(GenerationRequest kind, std::string body, engine::HttpAddress backend,
                                Responder& responder);
  asio::awaitable<void> pass_on_whole(engine::HttpExchange& exchange, engine::HttpReplyHead head,
                                      TimePoint end, Responder& responder);
  asio::awaitable<void> pass_on_events(engine::HttpExchange& exchange, std::string content_type,
                                       TimePoint end, Responder& responder);

  Replicas replicas_;
  Options options_;
  std::map<std::string, std::size_t> in_flight_;  ///< by model; none is 0
};

}  // namespace caravan::gateway
