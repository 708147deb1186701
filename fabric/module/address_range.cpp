#include "fabric/module/address_range.h"

#include <sys/mman.h>

#include <utility>

namespace caravan::fabric {

std::optional<AddressRange> AddressRange::reserve(std::size_t size) {
  if (size == 0) return {};
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
  flags |= MAP_NORESERVE;
#endif
  void* const base = mmap(nullptr, size, PROT_NONE, flags, -1, 0);
  if (base == MAP_FAILED) return {};
  return AddressRange(base, size);
}

AddressRange::AddressRange(AddressRange&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), size_(other.size_) {}

AddressRange::~AddressRange() {
  if (base_ != nullptr) munmap(base_, size_);
}

std::optional<std::uint64_t> AddressRange::offset_of(const void* address, std::size_t size) const {
  const auto first = reinterpret_cast<std::uintptr_t>(base_);
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  if (wanted < first || wanted - first > size_ || size > size_ - (wanted - first)) return {};
  return wanted - first;
}

}  // namespace caravan::fabric
