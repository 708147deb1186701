// Fields of a message to and from bytes: fixed width, little-endian. FieldWriter and FieldReader have the
// same interface, so that the one list of fields that a message has serves both ways. No memory is taken for
// a count that the bytes which are there cannot hold.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace caravan::fabric {

class FieldWriter {
 public:
  static constexpr bool kReads = false;
  /// Appends to `out`, which must outlive this.
  explicit FieldWriter(std::string& out) : out_(out) {}

  template <typename T>
  void number(const T& value) {
    using Unsigned = std::make_unsigned_t<T>;
    auto rest = static_cast<Unsigned>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      out_.push_back(static_cast<char>(static_cast<unsigned char>(rest & 0xffU)));
      rest = static_cast<Unsigned>(static_cast<std::uint64_t>(rest) >> 8U);
    }
  }
  template <typename E>
  void choice(const E& value, E /*last*/) {
    number(static_cast<std::underlying_type_t<E>>(value));
  }
  template <std::size_t N>
  void bytes(const std::array<std::uint8_t, N>& value) {
    out_.append(reinterpret_cast<const char*>(value.data()), N);
  }
  /// u16 length and bytes. What is longer than `limit` is cut.
  void text(const std::string& value, std::size_t limit) {
    const std::string_view cut = std::string_view(value).substr(0, limit);
    number(static_cast<std::uint16_t>(cut.size()));
    out_.append(cut);
  }
  /// All that is left of the payload.
  void rest(std::string_view value, std::size_t /*limit*/) { out_.append(value); }
  /// u32 count, then `each(item)`.
  template <typename T, typename Each>
  void list(const std::vector<T>& items, std::size_t /*limit*/, std::size_t /*item_bytes*/, Each each) {
    number(static_cast<std::uint32_t>(items.size()));
    for (const T& item : items) each(item);
  }
  void must(bool /*holds*/, const char* /*otherwise*/) {}

 private:
  std::string& out_;
};

class FieldReader {
 public:
  static constexpr bool kReads = true;
  /// `payload` must outlive this and whatever views were read from it.
  explicit FieldReader(std::string_view payload) : left_(payload) {}

  template <typename T>
  void number(T& value) {
    using Unsigned = std::make_unsigned_t<T>;
    if (!has(sizeof(T))) return;
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      all |= static_cast<std::uint64_t>(static_cast<unsigned char>(left_[i])) << (8U * i);
    }
    left_.remove_prefix(sizeof(T));
    value = static_cast<T>(static_cast<Unsigned>(all));
  }
  /// Values beyond `last` are refused.
  template <typename E>
  void choice(E& value, E last) {
    std::underlying_type_t<E> read{};
    number(read);
    if (read > static_cast<std::underlying_type_t<E>>(last)) return fail("a value that nobody knows");
    value = static_cast<E>(read);
  }
  template <std::size_t N>
  void bytes(std::array<std::uint8_t, N>& value) {
    if (!has(N)) return;
    for (std::size_t i = 0; i < N; ++i) value[i] = static_cast<std::uint8_t>(left_[i]);
    left_.remove_prefix(N);
  }
  void text(std::string& value, std::size_t limit);
  void rest(std::string_view& value, std::size_t limit);
  /// `item_bytes` is the least that one item takes.
  template <typename T, typename Each>
  void list(std::vector<T>& items, std::size_t limit, std::size_t item_bytes, Each each) {
    std::uint32_t count = 0;
    number(count);
    if (count > limit) return fail("a list that is too long");
    if (count > left_.size() / item_bytes) return fail("a list that is cut off");
    items.resize(count);
    for (T& item : items) {
      each(item);
      if (failed()) return;
    }
  }
  /// What the values have to satisfy; the first thing that does not hold is the error.
  void must(bool holds, const char* otherwise) {
    if (!holds) fail(otherwise);
  }

  bool failed() const { return why_ != nullptr; }
  /// Null as long as nothing failed.
  const char* why() const { return why_; }
  std::size_t left() const { return left_.size(); }

 private:
  void fail(const char* why) {
    if (why_ == nullptr) why_ = why;
    left_ = {};
  }
  bool has(std::size_t size) {
    if (left_.size() >= size) return true;
    fail("it is cut off");
    return false;
  }

  std::string_view left_;
  const char* why_ = nullptr;
};

}  // namespace caravan::fabric
