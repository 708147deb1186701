#include "model/http_rules.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "model/catalogue.h"

namespace caravan::model {
namespace {

constexpr std::chrono::seconds kLongestWait{60};

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string_view without_quotes(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

BodyPlan failure(Code code, std::string message, std::string hint) {
  return {BodyPlan::Kind::fail, std::nullopt, Error{code, std::move(message), std::move(hint)}};
}

BodyPlan refused(int status, std::string_view host) {
  if (status == 408 || status == 429 || status >= 500) {
    return {BodyPlan::Kind::retry, std::nullopt,
            Error{Code::unavailable, fmt::format("{} cannot serve it now (HTTP {})", host, status),
                  "try again later"}};
  }
  if (status == 404 || status == 410) {
    return failure(Code::not_found, fmt::format("{} does not have it any more (HTTP {})", host, status),
                   "update Caravan, or name another source in a catalogue of your own (CARAVAN_CATALOGUE)");
  }
  return failure(Code::unavailable, fmt::format("{} does not hand it out (HTTP {})", host, status),
                 "it may want an account: download it with a browser into the models folder");
}

/// What the server offers against what was expected; nothing when they agree.
std::optional<BodyPlan> differs(const ResponseHead& head, std::optional<Bytes> total,
                                const Expected& expected, std::string_view host) {
  if (!expected.sha256) return std::nullopt;  // then the server's word is all there is
  constexpr const char* kHint =
      "the source has changed: update Caravan, or name another one (CARAVAN_CATALOGUE)";
  if (head.stated_sha256 && *head.stated_sha256 != *expected.sha256) {
    return failure(
        Code::incompatible,
        fmt::format("{} offers another file than the catalogue means: SHA-256 {}... instead of {}...", host,
                    head.stated_sha256->substr(0, 12), expected.sha256->substr(0, 12)),
        kHint);
  }
  if (total && expected.size && *total != *expected.size) {
    return failure(Code::incompatible,
                   fmt::format("{} offers another file than the catalogue means: {} bytes instead of {}",
                               host, total->count, expected.size->count),
                   kHint);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes ";
  if (lower_case(value.substr(0, kUnit.size())) != kUnit) return std::nullopt;
  value = trim(value.substr(kUnit.size()));
  const std::size_t slash = value.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view range = value.substr(0, slash);
  const std::string_view total = value.substr(slash + 1);
  ContentRange result;
  if (total != "*" && !(result.total = parse_number(total))) return std::nullopt;
  if (range == "*") return result;
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  result.first = parse_number(range.substr(0, dash));
  const auto last = parse_number(range.substr(dash + 1));
  if (!result.first || !last || *last < *result.first || (result.total && *last >= *result.total))
    return std::nullopt;
  return result;
}

void ResponseHead::add_line(std::string_view line) {
  line = trim(line);
  if (line.substr(0, 5) == "HTTP/") {
    ResponseHead anew;
    anew.stated_sha256 = std::move(stated_sha256);
    anew.stated_size = stated_size;
    const std::size_t space = line.find(' ');
    if (space != std::string_view::npos) {
      anew.status = static_cast<int>(parse_number(line.substr(space + 1, 3)).value_or(0));
    }
    *this = std::move(anew);
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = lower_case(line.substr(0, colon));
  const std::string_view value = trim(line.substr(colon + 1));
  if (name == "content-length") content_length = parse_number(value);
  if (name == "content-range") content_range = parse_content_range(value);
  if (name == "etag") etag = value;
  if (name == "location") redirects = status >= 300 && status < 400;
  if (name == "retry-after") {
    if (const auto seconds = parse_number(value)) {
      retry_after = std::chrono::seconds(std::min<std::uint64_t>(*seconds, 3600));
    }
  }
  if (name == "x-linked-size") stated_size = parse_number(value);
  if (name == "x-linked-etag" && is_sha256(without_quotes(value))) stated_sha256 = without_quotes(value);
}

bool is_strong_etag(std::string_view etag) {
  return etag.size() > 2 && etag.front() == '"' && etag.back() == '"';
}

BodyPlan plan_body(const ResponseHead& head, Bytes have, const Expected& expected, std::string_view host) {
  if (head.status == 416) {
    const auto total = head.content_range ? head.content_range->total : std::nullopt;
    const bool whole = total && *total == have.count && have.count > 0;
    return {whole ? BodyPlan::Kind::complete : BodyPlan::Kind::ask_anew,
            whole ? std::optional(have) : std::nullopt,
            {}};
  }
  if (head.status != 200 && head.status != 206) return refused(head.status, host);
  BodyPlan plan{BodyPlan::Kind::from_zero, std::nullopt, {}};
  if (head.status == 200) {
    if (head.content_length) plan.total = Bytes{*head.content_length};
  } else {
    // the part that was asked for, or something that can only be thrown away
    if (!head.content_range || head.content_range->first != have.count)
      return {BodyPlan::Kind::ask_anew, std::nullopt, {}};
    plan.kind = BodyPlan::Kind::append;
    if (head.content_range->total) plan.total = Bytes{*head.content_range->total};
  }
  if (!plan.total && head.stated_size) plan.total = Bytes{*head.stated_size};
  if (auto other = differs(head, plan.total, expected, host)) return *other;
  if (!plan.total && expected.sha256) plan.total = expected.size;
  return plan;
}

std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  const std::size_t at = url.rfind('@');
  if (at != std::string_view::npos) url.remove_prefix(at + 1);
  if (url.empty()) return "";
  return printable(url.front() == '[' ? url.substr(0, url.find(']') + 1) : url.substr(0, url.find(':')));
}

std::chrono::milliseconds back_off(int failures, std::chrono::milliseconds first,
                                   std::optional<std::chrono::seconds> retry_after) {
  std::chrono::milliseconds wait = first * (1 << std::clamp(failures - 1, 0, 10));
  if (retry_after) wait = std::max<std::chrono::milliseconds>(wait, *retry_after);
  return std::min<std::chrono::milliseconds>(wait, kLongestWait);
}

}  // namespace caravan::model
