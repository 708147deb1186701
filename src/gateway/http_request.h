// A request as handlers see it, its limits, and the parser that makes it out of bytes. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/http_client.h"
#include "gateway/openai_error.h"

namespace caravan::gateway {

/// What a client may ask of a server, in bytes and in time.
struct Limits {
  std::size_t header_bytes = 32'768;
  std::size_t body_bytes = 16'777'216;
  std::size_t all_bodies_bytes = 67'108'864;  ///< of all requests being read or answered, together
  std::size_t connections = 256;
  std::chrono::milliseconds header_time{10'000};  ///< from a request's first byte to its header's end
  std::chrono::milliseconds body_time{300'000};   ///< for the whole body
  std::chrono::milliseconds write_time{30'000};   ///< for the client to take anything at all of what is sent
  std::chrono::milliseconds idle_time{60'000};    ///< between two requests
  std::chrono::milliseconds linger_time{2'000};   ///< for the client to read the last reply
};

struct Request {
  std::string method;
  std::string target;  ///< the path, percent-decoded, without the query: "/v1/models"
  std::string query;   ///< what follows the first '?', as it was sent
  engine::HttpHeaders headers;
  std::string body;

  /// The first header of that name, case ignored. Borrowed from this.
  std::optional<std::string_view> header(std::string_view name) const;
};

/// "/a%20b?x=1" → path "/a b", query "x=1"; also the absolute form that proxies send. Nothing when `target`
/// is neither, or when an escape in the path is broken or stands for a control character.
struct TargetParts {
  std::string path;
  std::string query;
};
std::optional<TargetParts> split_target(std::string_view target);

/// Takes one request out of a stream of bytes. Use a new one for the next request.
class RequestParser {
 public:
  RequestParser(std::size_t max_header_bytes, std::size_t max_body_bytes);
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;
  ~RequestParser();

  /// How many of `bytes` were used; the rest comes first the next time (with more behind it), or belongs to
  /// the next request once this one is done().
  std::size_t feed(std::string_view bytes);

  bool header_done() const;
  bool done() const;
  /// What is wrong with it: 400, 413, 417, 431, 501. Nothing more is to be read from that connection.
  const std::optional<ApiError>& failure() const;

  /// After header_done().
  bool expects_continue() const;
  bool keep_alive() const;
  bool http_1_0() const;
  bool is_head() const;
  std::size_t body_bytes() const;  ///< announced, or arrived so far when the body is chunked

  /// After done(), once.
  Request take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace caravan::gateway
