// What an HTTP server's answer means for a download that may be a continued one. Pure: no network, no files.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace caravan::model {

struct ContentRange {
  std::optional<std::uint64_t> first;  ///< nothing in "bytes */200"
  std::optional<std::uint64_t> total;  ///< nothing in "bytes 0-9/*"
};

/// "bytes 100-199/200"; nothing when it is malformed.
std::optional<ContentRange> parse_content_range(std::string_view value);

/// What the headers of an answer say, line by line. Follows redirects: a new status line begins a new answer,
/// but what a model hub says about the file while it redirects (x-linked-etag, x-linked-size) is kept.
class ResponseHead {
 public:
  void add_line(std::string_view line);

  int status = 0;
  std::optional<std::uint64_t> content_length;
  std::optional<ContentRange> content_range;
  std::optional<std::chrono::seconds> retry_after;
  std::string etag;  ///< with its quotes; "" for none
  bool redirects = false;
  std::optional<std::string> stated_sha256;  ///< 64 lower-case hex digits
  std::optional<std::uint64_t> stated_size;
};

/// Only a strong ETag identifies bytes (RFC 9110, 8.8.1).
bool is_strong_etag(std::string_view etag);

/// What is known about the file before the server is asked.
struct Expected {
  std::optional<Bytes> size;
  std::optional<std::string> sha256;
};

/// What to do with an answer to "the bytes from `have` on, please".
struct BodyPlan {
  enum class Kind {
    append,     ///< the body continues what is there
    from_zero,  ///< the body is the whole file
    complete,   ///< there is nothing more to get
    ask_anew,   ///< forget what is there and ask for the whole file
    retry,      ///< the server cannot now; `error` says why
    fail,       ///< `error`
  };
  Kind kind = Kind::fail;
  std::optional<Bytes> total;  ///< of the whole file
  Error error;
};

/// `host` is for messages.
BodyPlan plan_body(const ResponseHead& head, Bytes have, const Expected& expected, std::string_view host);

/// "example.org" of "https://user:secret@example.org:8080/x?token=y": what may be shown.
std::string host_of(std::string_view url);

/// Wait before the next try: doubles from `first` up to a minute, or what the server asked for if that is
/// longer.
std::chrono::milliseconds back_off(int failures, std::chrono::milliseconds first,
                                   std::optional<std::chrono::seconds> retry_after);

}  // namespace caravan::model
