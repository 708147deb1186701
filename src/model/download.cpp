#include "model/download.h"

#include <algorithm>
#include <memory>
#include <thread>

#include <fmt/format.h>

#include "base/json.h"
#include "model/curl_handle.h"

namespace caravan::model {
namespace {

using namespace std::chrono_literals;

constexpr Bytes kMaxNotes{64U << 10U};

/// How one request ended.
struct Outcome {
  enum class Kind { done, ask_anew, retry, fail };
  Kind kind = Kind::fail;
  Error error;
};

/// Notes beside the part: whose bytes these are.
struct Notes {
  std::string url;
  std::string etag;
};

Notes read_notes(const fs::path& path) {
  const auto text = read_file(path, kMaxNotes);
  const auto json = text ? parse_json(*text, kMaxNotes.count) : Result<Json>(Json::object());
  if (!json) return {};
  Fields fields(*json, "notes");
  Notes notes{fields.text_or("url", ""), fields.text_or("etag", "")};
  return fields.ok() ? notes : Notes{};
}

Result<void> write_notes(const fs::path& path, const Notes& notes) {
  return write_file_atomically(path, dump_json({{"version", 1}, {"url", notes.url}, {"etag", notes.etag}}));
}

/// One request: its curl handle, what has come back so far, and what is to be done with it.
class Request {
 public:
  Request(const std::string& url, const Expected& expected, PartFile& part, const TransferControl& control,
          ProgressReporter& reporter)
      : url_(url),
        host_(host_of(url)),
        expected_(expected),
        part_(part),
        control_(control),
        reporter_(reporter) {}

  /// `etag` non-empty: only continue if the file is still this one.
  Outcome run(const DownloadOptions& options, const std::string& etag);
  const ResponseHead& head() const { return head_; }

 private:
  struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  using List = std::unique_ptr<curl_slist, FreeList>;

  void set_up(CURL* handle);
  Outcome outcome_of(CURLcode result);
  bool on_head();
  bool on_body(std::string_view bytes);

  static std::size_t header_function(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t write_function(char* data, std::size_t size, std::size_t count, void* self);
  static int progress_function(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  bool has_stalled();

  const std::string& url_;
  std::string host_;
  const Expected& expected_;
  PartFile& part_;
  const TransferControl& control_;
  ProgressReporter& reporter_;
  CurlWords words_{};
  ResponseHead head_;
  std::optional<BodyPlan> plan_;
  std::optional<Error> own_error_;
  std::chrono::milliseconds stall_time_{};
  TimePoint last_growth_;
  Bytes last_size_;
};

void Request::set_up(CURL* handle) {
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, header_function);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, write_function);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, progress_function);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
}

Outcome Request::run(const DownloadOptions& options, const std::string& etag) {
  const CurlHandle handle = open_curl(url_, options.connect_time, words_);
  if (!handle) return {Outcome::Kind::fail, Error{Code::exhausted, "not enough memory for a connection", ""}};
  set_up(handle.get());
  stall_time_ = options.stall_time;
  last_growth_ = Clock::now();
  last_size_ = part_.size();
  List headers;
  const std::string range = fmt::format("{}-", part_.size().count);
  if (part_.size() > Bytes{}) {
    curl_easy_setopt(handle.get(), CURLOPT_RANGE, range.c_str());
    if (!etag.empty()) headers.reset(curl_slist_append(nullptr, ("If-Range: " + etag).c_str()));
    curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
  }
  return outcome_of(curl_easy_perform(handle.get()));
}

/// The head of the last answer is complete: decides about its body. False to break the transfer off.
bool Request::on_head() {
  plan_ = plan_body(head_, part_.size(), expected_, host_);
  if (plan_->kind == BodyPlan::Kind::from_zero && part_.size() > Bytes{}) {
    if (const auto restarted = part_.restart(); !restarted) own_error_ = restarted.error();
  }
  if (plan_->kind != BodyPlan::Kind::from_zero && plan_->kind != BodyPlan::Kind::append) return false;
  if (plan_->total && *plan_->total > part_.size() && !own_error_) {
    const auto space =
        check_space(part_.target().parent_path(), Bytes{plan_->total->count - part_.size().count});
    if (!space) own_error_ = space.error();
  }
  if (!own_error_) {
    const auto noted = write_notes(part_.notes_path(), {url_, is_strong_etag(head_.etag) ? head_.etag : ""});
    if (!noted) own_error_ = noted.error();
  }
  return !own_error_;
}

bool Request::on_body(std::string_view bytes) {
  if (!plan_) return false;
  if (plan_->total && part_.size().count + bytes.size() > plan_->total->count) {
    own_error_ =
        Error{Code::incompatible,
              fmt::format("{} sends more than the {} bytes it should be", host_, plan_->total->count),
              "the source has changed: update Caravan, or name another one (CARAVAN_CATALOGUE)"};
    (void)part_.restart();  // nothing of it can be right; the error that matters is the one above
    return false;
  }
  if (const auto appended = part_.append(bytes); !appended) own_error_ = appended.error();
  if (!own_error_) reporter_.report(Progress::Phase::downloading, part_.size(), plan_->total);
  return !own_error_;
}

std::size_t Request::header_function(char* data, std::size_t size, std::size_t count, void* self) {
  auto& request = *static_cast<Request*>(self);
  const std::string_view line(data, size * count);
  if (request.plan_) return line.size();  // trailers behind the body
  request.head_.add_line(line);
  const bool is_end = line == "\r\n" || line == "\n";
  if (!is_end || request.head_.redirects || request.head_.status < 200) return line.size();
  return request.on_head() ? line.size() : 0;
}

std::size_t Request::write_function(char* data, std::size_t size, std::size_t count, void* self) {
  const std::size_t length = size * count;
  return static_cast<Request*>(self)->on_body({data, length}) ? length : 0;
}

int Request::progress_function(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& request = *static_cast<Request*>(self);
  const auto phase = request.plan_ ? Progress::Phase::downloading : Progress::Phase::connecting;
  const auto total = request.plan_ ? request.plan_->total : request.expected_.size;
  request.reporter_.report(phase, request.part_.size(), total);
  return request.control_.is_cancelled() || request.has_stalled() ? 1 : 0;
}

/// Not curl's own low-speed limit: that one looks at an average of several seconds and notices late.
bool Request::has_stalled() {
  if (part_.size() != last_size_) last_growth_ = Clock::now();
  last_size_ = part_.size();
  return Clock::now() - last_growth_ >= stall_time_;
}

Outcome Request::outcome_of(CURLcode result) {
  if (control_.is_cancelled()) return {Outcome::Kind::fail, Error{Code::interrupted, "stopped", ""}};
  if (own_error_) return {Outcome::Kind::fail, *own_error_};
  if (plan_) {
    switch (plan_->kind) {
      case BodyPlan::Kind::complete:
        return {Outcome::Kind::done, {}};
      case BodyPlan::Kind::ask_anew:
        return {Outcome::Kind::ask_anew, {}};
      case BodyPlan::Kind::retry:
        return {Outcome::Kind::retry, plan_->error};
      case BodyPlan::Kind::fail:
        return {Outcome::Kind::fail, plan_->error};
      case BodyPlan::Kind::append:
      case BodyPlan::Kind::from_zero:
        break;
    }
  }
  if (result != CURLE_OK) {
    const CurlFailure failure = curl_failure(result, words_, host_);
    return {failure.may_pass ? Outcome::Kind::retry : Outcome::Kind::fail, failure.error};
  }
  if (plan_ && plan_->total && part_.size() < *plan_->total) {
    return {Outcome::Kind::retry,
            Error{Code::disconnected, fmt::format("{} broke off", host_), "try again later"}};
  }
  return {Outcome::Kind::done, {}};
}

/// Waits in small steps. False when cancelled.
bool wait(std::chrono::milliseconds time, const TransferControl& control) {
  const TimePoint end = Clock::now() + time;
  while (Clock::now() < end) {
    if (control.is_cancelled()) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(end - Clock::now(), 50ms));
  }
  return !control.is_cancelled();
}

/// Decides whether what an earlier run left can be continued, and prepares `part` for it.
Result<void> prepare(const std::string& url, const Expected& expected, PartFile& part,
                     const TransferControl& control) {
  if (part.size() == Bytes{}) return {};
  const Notes notes = read_notes(part.notes_path());
  // With a hash to check against at the end, the same address is reason enough to try; without, only an ETag
  // is.
  const bool same_source = notes.url == url && (!notes.etag.empty() || expected.sha256);
  const bool fits = !expected.sha256 || !expected.size || part.size() <= *expected.size;
  if (!same_source || !fits) return part.restart();
  return part.hash_what_is_there(control);
}

}  // namespace

Result<Downloaded> download(const std::string& url, const Expected& expected, PartFile& part,
                            const DownloadOptions& options, const TransferControl& control) {
  if (const auto prepared = prepare(url, expected, part, control); !prepared) return prepared.error();
  if (expected.sha256 && expected.size && *expected.size > part.size()) {
    const Bytes missing{expected.size->count - part.size().count};
    if (const auto space = check_space(part.target().parent_path(), missing); !space) return space.error();
  }
  ProgressReporter reporter(control);
  int failures = 0;
  for (;;) {
    const Bytes before = part.size();
    if (expected.sha256 && expected.size == part.size() && part.size() > Bytes{}) return Downloaded{};
    Request request(url, expected, part, control, reporter);
    const Outcome outcome = request.run(options, read_notes(part.notes_path()).etag);
    if (outcome.kind == Outcome::Kind::done) return Downloaded{request.head().stated_sha256};
    if (outcome.kind == Outcome::Kind::fail) return outcome.error;
    if (outcome.kind == Outcome::Kind::ask_anew) {
      if (const auto restarted = part.restart(); !restarted) return restarted.error();
    }
    failures = part.size() > before ? 1 : failures + 1;
    if (failures >= options.attempts) {
      return outcome.kind == Outcome::Kind::retry
                 ? outcome.error
                 : Error{Code::unavailable,
                         fmt::format("{} answers with ranges that were not asked for", host_of(url)), ""};
    }
    if (outcome.kind == Outcome::Kind::ask_anew) continue;
    reporter.report(Progress::Phase::waiting, part.size(), expected.size, outcome.error.message);
    if (!wait(back_off(failures, options.first_wait, request.head().retry_after), control)) {
      return Error{Code::interrupted, "stopped", ""};
    }
  }
}

}  // namespace caravan::model
