// A file over HTTP(S): continued where an earlier run stopped, retried over what passes, never believed
// without a check.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/http_rules.h"
#include "model/part_file.h"
#include "model/progress.h"

namespace caravan::model {

struct DownloadOptions {
  int attempts = 4;  ///< in a row without a single new byte, before it gives up
  std::chrono::milliseconds first_wait{1000};
  std::chrono::seconds connect_time{20};
  std::chrono::milliseconds stall_time{30000};  ///< so long without a byte counts as a cut
};

struct Downloaded {
  /// The hash that the server states for the file, when it does (Hugging Face does).
  std::optional<std::string> stated_sha256;
};

/// Fills `part` from `url`; when it returns, all bytes are there, but neither hashed against anything nor
/// renamed: that is the caller's. Blocks, for hours with a large model: for a worker thread. Redirects are
/// followed, from https only to https. The proxy variables of the environment are obeyed (https_proxy,
/// no_proxy), and SSL_CERT_FILE. Code::interrupted when cancelled; what is there can then be continued, as
/// after any failure to reach the server.
Result<Downloaded> download(const std::string& url, const Expected& expected, PartFile& part,
                            const DownloadOptions& options, const TransferControl& control);

}  // namespace caravan::model
