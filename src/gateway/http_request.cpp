#include "gateway/http_request.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

namespace caravan::gateway {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    decoded += c;
  }
  return decoded;
}

ApiError bad_request(std::string message) { return ApiError{400, std::move(message), "", "bad_request"}; }

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const {
  const std::string* value = engine::find_header(headers, name);
  return value == nullptr ? std::nullopt : std::optional<std::string_view>(*value);
}

std::optional<TargetParts> split_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const std::size_t path = target.find('/', scheme.size());
    target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
    break;
  }
  if (!target.starts_with('/')) return std::nullopt;
  const std::size_t question = target.find('?');
  auto path = percent_decoded(target.substr(0, question));
  if (!path) return std::nullopt;
  const auto query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  return TargetParts{*std::move(path), std::string(query)};
}

struct RequestParser::State {
  State(std::size_t header_limit, std::size_t body_limit)
      : max_header_bytes(header_limit), max_body_bytes(body_limit) {
    parser.header_limit(static_cast<std::uint32_t>(header_limit));
    parser.body_limit(body_limit);
  }

  ApiError explain(const ErrorCode& error) const {
    if (error == http::error::header_limit) {
      return ApiError{431, fmt::format("the request's header is longer than {} bytes", max_header_bytes), "",
                      "header_too_long"};
    }
    if (error == http::error::body_limit) {
      return ApiError{413, fmt::format("the request's body is longer than {} bytes", max_body_bytes), "",
                      "body_too_long"};
    }
    return bad_request("the request is no valid HTTP: " + error.message());
  }

  /// What Beast leaves to its users. The fields are taken now: Beast adds those behind a chunked body to
  /// them, and nobody has asked for these (RFC 9110, 6.5.1: they must not be merged).
  std::optional<ApiError> take_header() {
    const auto& message = parser.get();
    for (const auto& field : message) headers.emplace_back(field.name_string(), field.value());
    parser.eager(true);  // from here on, all that is there of the body
    const auto hosts = message.count(http::field::host);
    if (hosts > 1 || (hosts == 0 && message.version() >= 11)) {
      return bad_request("the request needs one Host header");
    }
    if (message.count(http::field::transfer_encoding) > 0 && !parser.chunked()) {
      return ApiError{501, "the only transfer encoding known here is 'chunked'", "", "unknown_encoding"};
    }
    const auto expect = message[http::field::expect];
    if (!expect.empty() && !boost::beast::iequals(expect, "100-continue")) {
      return ApiError{417, "the only expectation known here is '100-continue'", "", "unknown_expectation"};
    }
    parts = split_target(std::string_view(message.target().data(), message.target().size()));
    if (!parts) return bad_request("the address in the request is no path");
    return std::nullopt;
  }

  std::size_t max_header_bytes;
  std::size_t max_body_bytes;
  http::request_parser<http::string_body> parser;
  std::optional<TargetParts> parts;
  std::optional<ApiError> failure;
  engine::HttpHeaders headers;
  std::size_t header_bytes = 0;
};

RequestParser::RequestParser(std::size_t max_header_bytes, std::size_t max_body_bytes)
    : state_(std::make_unique<State>(max_header_bytes, max_body_bytes)) {}
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes) {
  State& state = *state_;
  if (bytes.empty() || state.failure || state.parser.is_done()) return 0;
  const bool in_header = !state.parser.is_header_done();
  ErrorCode error;
  std::size_t used = state.parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  // Beast limits single lines: neither their sum, nor the lines between two chunks of a body.
  if (in_header) state.header_bytes += used;
  const bool header_ends = in_header && state.parser.is_header_done();
  const bool waits_too_long =
      !header_ends && !state.parser.is_done() && bytes.size() - used > state.max_header_bytes;
  if (error && error != http::error::need_more) {
    state.failure = state.explain(error);
  } else if (state.header_bytes > state.max_header_bytes || waits_too_long) {
    state.failure = state.explain(http::error::header_limit);
  } else if (header_ends) {
    state.failure = state.take_header();
    if (!state.failure) used += feed(bytes.substr(used));
  }
  return used;
}

bool RequestParser::header_done() const { return state_->parser.is_header_done(); }
bool RequestParser::done() const { return state_->parser.is_done() && !state_->failure; }
const std::optional<ApiError>& RequestParser::failure() const { return state_->failure; }

bool RequestParser::expects_continue() const {
  return !http_1_0() && state_->parser.get().count(http::field::expect) > 0;
}

bool RequestParser::keep_alive() const { return state_->parser.keep_alive(); }
bool RequestParser::http_1_0() const { return state_->parser.get().version() < 11; }
bool RequestParser::is_head() const { return state_->parser.get().method() == http::verb::head; }

std::size_t RequestParser::body_bytes() const {
  const auto announced = state_->parser.content_length();
  return announced ? static_cast<std::size_t>(*announced) : state_->parser.get().body().size();
}

Request RequestParser::take() {
  auto& message = state_->parser.get();
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::move(state_->parts->path);
  request.query = std::move(state_->parts->query);
  request.headers = std::move(state_->headers);
  request.body = std::move(message.body());
  return request;
}

}  // namespace caravan::gateway
