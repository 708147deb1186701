#include "model/sha256.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <new>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>

namespace caravan::model {
namespace {

using Context = std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)>;

/// OpenSSL fails here only without memory, or without SHA-256, without which nothing of TLS works either.
void check(int result) {
  if (result != 1) throw std::bad_alloc();
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_) throw std::bad_alloc();
  check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

void Sha256::update(std::string_view bytes) {
  check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

std::string Sha256::hex() const {
  const Context copy(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!copy) throw std::bad_alloc();
  std::array<unsigned char, 32> digest{};
  check(EVP_MD_CTX_copy_ex(copy.get(), context_.get()));
  check(EVP_DigestFinal_ex(copy.get(), digest.data(), nullptr));
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

Result<void> hash_into(Sha256& hash, const fs::path& path, const TransferControl& control) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file) return errno_error(fmt::format("cannot open {}", path.string()), errno);
  std::error_code failure;
  const std::uintmax_t size = fs::file_size(path, failure);
  const auto total = failure ? std::nullopt : std::optional(Bytes{size});
  ProgressReporter reporter(control);
  std::vector<char> chunk(1U << 20U);
  Bytes done;
  for (;;) {
    if (control.is_cancelled())
      return Error{Code::interrupted, "stopped while verifying " + path.filename().string(), ""};
    reporter.report(Progress::Phase::verifying, done, total);
    const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), file.get());
    if (got == 0 && std::ferror(file.get()) != 0)
      return errno_error(fmt::format("cannot read {}", path.string()), errno);
    if (got == 0) return {};
    hash.update({chunk.data(), got});
    done += Bytes{got};
  }
}

Result<std::string> hash_file(const fs::path& path, const TransferControl& control) {
  Sha256 hash;
  if (const auto hashed = hash_into(hash, path, control); !hashed) return hashed.error();
  return hash.hex();
}

}  // namespace caravan::model
