// SHA-256 of what streams by, and of files.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"
#include "model/progress.h"

struct evp_md_ctx_st;

namespace caravan::model {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  /// 64 lower-case hex digits of all that went in so far; more may follow.
  std::string hex() const;

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// Reads the file into `hash`, from the beginning to its end. Blocks; reports the phase "verifying".
/// Code::interrupted when cancelled.
Result<void> hash_into(Sha256& hash, const fs::path& path, const TransferControl& control);

/// SHA-256 of a file, see hash_into.
Result<std::string> hash_file(const fs::path& path, const TransferControl& control);

}  // namespace caravan::model
