// Numbers and texts in the files of the store: fixed width, little-endian.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "fabric/store/digest.h"

namespace caravan::fabric {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

template <typename T>
void put(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}
inline void put(std::string& out, const Digest& digest) {
  out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
}

/// Takes values from the front. Once it has failed it stays so, and gives zeros.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : left_(bytes) {}

  template <typename T>
  T number() {
    T value{};
    const std::string_view raw = bytes(sizeof(T));
    if (!failed_) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  Digest digest() { return number<Digest>(); }
  std::string_view bytes(std::size_t count) {
    if (count > left_.size()) failed_ = true;
    if (failed_) return {};
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  bool failed() const { return failed_; }
  std::size_t left() const { return left_.size(); }

 private:
  std::string_view left_;
  bool failed_ = false;
};

}  // namespace caravan::fabric
