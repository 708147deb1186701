#include "model/curl_handle.h"

#include <mutex>

#include <fmt/format.h>

#include "base/files.h"

namespace caravan::model {
namespace {

constexpr long kMaxRedirects = 10;

/// libcurl wants this once in a process, before its first handle.
void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

CurlHandle open_curl(const std::string& url, std::chrono::seconds connect_time, CurlWords& words) {
  start_curl();
  CurlHandle owner(curl_easy_init());
  CURL* handle = owner.get();
  if (handle == nullptr) return owner;
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "caravan");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, words.data());
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  const bool secure = url.rfind("https://", 0) == 0;
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  // libcurl itself does not read these, unlike the curl program; people behind a proxy that re-signs have set
  // them
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    if (const auto file = environment(name)) {
      curl_easy_setopt(handle, CURLOPT_CAINFO, file->c_str());
      break;
    }
  }
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, static_cast<long>(connect_time.count()));
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 256L << 10U);
  curl_easy_setopt(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's answer is not the server's
  return owner;
}

CurlFailure curl_failure(CURLcode result, const CurlWords& words, std::string_view host) {
  const std::string what = words[0] != '\0' ? words.data() : curl_easy_strerror(result);
  const std::string by_hand = "check the network; or copy the file into the models folder by hand";
  switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {true,
              Error{Code::unavailable, fmt::format("cannot find {}: is there a network?", host), by_hand}};
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return {true, Error{Code::unavailable, fmt::format("cannot reach {}: {}", host, what), by_hand}};
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_OPERATION_TIMEDOUT:
      return {true, Error{Code::unavailable, fmt::format("{} stopped answering", host), "try again later"}};
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
      return {true, Error{Code::disconnected, fmt::format("connection to {} broke: {}", host, what),
                          "try again later"}};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {false, Error{Code::unavailable, fmt::format("cannot verify who {} is: {}", host, what),
                           "check the date of this device; behind a company's proxy set SSL_CERT_FILE"}};
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {false, Error{Code::unavailable, fmt::format("{} leads to an address that is not secure", host),
                           "name another source in a catalogue of your own (CARAVAN_CATALOGUE)"}};
    default:
      return {false,
              Error{Code::unavailable, fmt::format("cannot download from {}: {}", host, what), by_hand}};
  }
}

}  // namespace caravan::model
