// Any bytes as the manifest of a file: it is read back as it was written, or refused with a reason. As they
// are, and with a right hash put behind them, so that what stands behind the hash is reached.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "fabric/store/codec.h"
#include "fabric/store/manifest.h"

namespace {

void read(std::string_view bytes) {
  using namespace caravan::fabric;
  const auto manifest = decode_manifest(bytes);
  if (!manifest) {
    if (manifest.error().message.empty()) std::abort();
    return;
  }
  if (encode(*manifest) != bytes || manifest->tensors.size() > kMaxTensors) std::abort();
  for (const HashedTensor& tensor : manifest->tensors) {
    const GgufTensor& where = tensor.where;
    if (where.name.size() > kMaxTensorName || where.bytes > manifest->identity.size) std::abort();
    if (where.offset > manifest->identity.size - where.bytes) std::abort();
  }
  const auto model = Manifest::join({*manifest});
  if (model && model->tensors() != manifest->tensors.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  std::string right(bytes.substr(0, size - std::min(size, sizeof(caravan::fabric::Digest))));
  caravan::fabric::put(right, caravan::fabric::digest_of(right));
  read(right);
  return 0;
}
