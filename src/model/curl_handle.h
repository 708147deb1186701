// What all uses of libcurl have in common: how a connection is set up, what its failures mean.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <curl/curl.h>

#include "base/result.h"

namespace caravan::model {

struct FreeCurl {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using CurlHandle = std::unique_ptr<CURL, FreeCurl>;
using CurlWords = std::array<char, CURL_ERROR_SIZE>;

/// For a GET of `url`. Redirects are followed, from https only to https. The proxy variables of the
/// environment are obeyed (https_proxy, no_proxy), and SSL_CERT_FILE. `words` has to outlive the handle. Null
/// when there is no memory.
CurlHandle open_curl(const std::string& url, std::chrono::seconds connect_time, CurlWords& words);

struct CurlFailure {
  bool may_pass = false;  ///< trying again may help
  Error error;
};

/// For any result but CURLE_OK. A transfer that its progress function has stopped counts as one that stalled.
CurlFailure curl_failure(CURLcode result, const CurlWords& words, std::string_view host);

}  // namespace caravan::model
