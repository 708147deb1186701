#include "engine/fingerprint.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/descriptor.h"

namespace caravan::engine {
namespace {

constexpr std::size_t kDigits = 12;

struct DigestDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Digest = std::unique_ptr<EVP_MD_CTX, DigestDeleter>;

bool is_engine_library(const std::string& name) {
  const bool ours =
      name.rfind("libggml", 0) == 0 || name.rfind("libllama", 0) == 0 || name.rfind("libmtmd", 0) == 0;
  return ours && name.find(".so") != std::string::npos;
}

/// Name to path, so that the order is that of the names. Links are left out: what they point to is there too.
void add_libraries(const fs::path& folder, std::map<std::string, fs::path>& files) {
  std::error_code failure;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failure)) {
    const std::string name = entry.path().filename().string();
    if (is_engine_library(name) && entry.symlink_status(failure).type() == fs::file_type::regular) {
      files.emplace(name, entry.path());
    }
  }
}

Result<void> add_content(const Digest& digest, const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return errno_error(fmt::format("cannot open {}", path.string()), errno);
  std::string chunk(std::size_t{1} << 18U, '\0');
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(fmt::format("cannot read {}", path.string()), errno);
    if (got == 0) return {};
    EVP_DigestUpdate(digest.get(), chunk.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<std::string> engine_fingerprint(const EngineFiles& files) {
  std::error_code unresolved;
  const fs::path real = fs::canonical(files.llama_server, unresolved);
  const fs::path folder = unresolved ? files.folder() : real.parent_path();
  std::map<std::string, fs::path> parts{{"llama-server", files.llama_server},
                                        {"rpc-server", files.rpc_server}};
  add_libraries(folder, parts);
  add_libraries(folder.parent_path() / "lib", parts);

  const Digest digest(EVP_MD_CTX_new());
  if (!digest || EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) != 1) {
    return Error{Code::bug, "SHA-256 is not available", ""};
  }
  for (const auto& [name, path] : parts) {
    EVP_DigestUpdate(digest.get(), name.c_str(), name.size() + 1);
    if (const Result<void> added = add_content(digest, path); !added) return added.error();
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  EVP_DigestFinal_ex(digest.get(), bytes.data(), nullptr);
  std::string text;
  for (std::size_t i = 0; i < kDigits / 2; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

}  // namespace caravan::engine
