// Addresses for memory that is elsewhere: ggml does arithmetic with the addresses of tensors, so that each
// buffer of a worker gets a range of this process's addresses that is its own. Nothing is behind it: touching
// it is a fault at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace caravan::fabric {

/// A range that nothing else in this process gets, freed on destruction. Costs no memory.
class AddressRange {
 public:
  /// Nothing when `size` is 0 or the system has no such range left. The base is aligned to the system's page.
  static std::optional<AddressRange> reserve(std::size_t size);
  AddressRange(AddressRange&& other) noexcept;
  AddressRange& operator=(AddressRange&&) = delete;
  ~AddressRange();

  void* base() const { return base_; }
  std::size_t size() const { return size_; }
  /// Where `size` bytes from `address` are from the base; nothing unless all of them are in the range.
  std::optional<std::uint64_t> offset_of(const void* address, std::size_t size) const;

 private:
  AddressRange(void* base, std::size_t size) : base_(base), size_(size) {}
  void* base_;
  std::size_t size_;
};

}  // namespace caravan::fabric
