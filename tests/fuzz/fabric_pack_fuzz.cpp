// Any bytes as a pack of the store: what its list says lies inside the file, in order.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "fabric/store/file_io.h"
#include "fabric/store/pack.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan::fabric;
  static std::FILE* const file = std::tmpfile();
  if (file == nullptr) std::abort();
  const int fd = ::fileno(file);
  if (::ftruncate(fd, 0) != 0) std::abort();
  if (write_at(fd, {reinterpret_cast<const char*>(data), size}, 0) != 0) std::abort();
  std::uint64_t end = 0;
  for (const PackedTensor& tensor : list_pack(fd, size)) {
    if (tensor.offset <= end || tensor.size > kMaxPacked || tensor.offset + tensor.size > size) std::abort();
    end = tensor.offset + tensor.size;
  }
  return 0;
}
