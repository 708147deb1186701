#include "fabric/store/gguf_layout.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <gguf.h>

#include "base/text.h"
#include "base/units.h"

namespace caravan::fabric {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies in the file");
static_assert(kMaxTensorName == GGML_MAX_NAME - 1);

// Real models have about 50 keys and, for a vocabulary of 262,144, a header of 16 MiB.
constexpr std::uint64_t kMaxHeader = 64U << 20U;
constexpr std::uint64_t kMaxKeys = 8192;
constexpr std::size_t kMaxKeyName = 65535;
constexpr std::uint64_t kMaxBytes = 1ULL << 62U;

Error corrupt(const ByteReader& source, std::string_view why) {
  return Error{Code::incompatible, fmt::format("{} is damaged: {}", source.name, why), "get the file again"};
}

/// Bytes of one value of a type; 0 for those without a fixed size, and for none.
std::uint64_t value_bytes(std::uint32_t type) {
  switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL:
      return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16:
      return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32:
      return 4;
    case GGUF_TYPE_UINT64:
    case GGUF_TYPE_INT64:
    case GGUF_TYPE_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

/// Goes through the header from its beginning. The first failure stays; what is read after it is zero.
class Cursor {
 public:
  explicit Cursor(const ByteReader& source) : source_(source), end_(std::min(source.size, kMaxHeader)) {}

  std::uint64_t position() const { return position_; }
  bool failed() const { return why_.has_value(); }
  const std::string& why() const { return *why_; }
  void fail(std::string why) {
    if (!why_) why_ = std::move(why);
  }

  template <typename T>
  T number() {
    T value{};
    take(&value, sizeof value);
    return value;
  }
  std::string text(std::size_t limit, const char* what) {
    const auto length = number<std::uint64_t>();
    if (length > limit) fail(fmt::format("{} of {} bytes", what, length));
    std::string value(failed() ? 0 : static_cast<std::size_t>(length), '\0');
    take(value.data(), value.size());
    return value;
  }
  void skip(std::uint64_t length) {
    if (failed()) return;
    if (length > end_ - position_) return ends_early();
    position_ += length;
  }

 private:
  void ends_early() {
    fail(end_ < source_.size ? "its header is larger than that of any model" : "it ends inside its header");
  }
  void take(void* out, std::size_t length) {
    if (failed()) return;
    if (length > end_ - position_) return ends_early();
    auto* to = static_cast<char*>(out);
    while (length > 0) {
      if (position_ < window_at_ || position_ >= window_at_ + window_.size()) fill();
      if (failed()) return;
      const auto from = static_cast<std::size_t>(position_ - window_at_);
      const std::size_t part = std::min(length, window_.size() - from);
      std::memcpy(to, window_.data() + from, part);
      to += part;
      position_ += part;
      length -= part;
    }
  }
  void fill() {
    window_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(64U << 10U, end_ - position_)));
    window_at_ = position_;
    window_.resize(std::min(window_.size(), source_.read(window_.data(), position_, window_.size())));
    if (window_.empty()) fail("it cannot be read to its end");
  }

  const ByteReader& source_;
  std::uint64_t end_;
  std::uint64_t position_ = 0;
  std::uint64_t window_at_ = 0;
  std::string window_;
  std::optional<std::string> why_;
};

/// The few keys that matter here; all others are passed over.
struct Keys {
  std::uint64_t alignment = GGUF_DEFAULT_ALIGNMENT;
  GgufSplit split;
};

void skip_array(Cursor& cursor) {
  const auto type = cursor.number<std::uint32_t>();
  const auto count = cursor.number<std::uint64_t>();
  if (type == GGUF_TYPE_STRING) {
    for (std::uint64_t i = 0; i < count && !cursor.failed(); ++i) cursor.skip(cursor.number<std::uint64_t>());
    return;
  }
  const std::uint64_t each = value_bytes(type);
  if (each == 0) return cursor.fail(fmt::format("an array of an unknown type, {}", type));
  if (count > kMaxHeader) return cursor.fail(fmt::format("an array of {} values", count));
  cursor.skip(count * each);
}

/// A whole number of a type that is one; nothing for others, which are passed over.
std::optional<std::uint64_t> take_whole(Cursor& cursor, std::uint32_t type) {
  switch (type) {
    case GGUF_TYPE_UINT8:
      return cursor.number<std::uint8_t>();
    case GGUF_TYPE_UINT16:
      return cursor.number<std::uint16_t>();
    case GGUF_TYPE_UINT32:
      return cursor.number<std::uint32_t>();
    case GGUF_TYPE_INT32: {
      const auto value = cursor.number<std::int32_t>();
      if (value >= 0) return static_cast<std::uint64_t>(value);
      return std::nullopt;
    }
    case GGUF_TYPE_STRING:
      cursor.skip(cursor.number<std::uint64_t>());
      return std::nullopt;
    case GGUF_TYPE_ARRAY:
      skip_array(cursor);
      return std::nullopt;
    default:
      if (value_bytes(type) == 0) cursor.fail(fmt::format("a key of an unknown type, {}", type));
      cursor.skip(value_bytes(type));
      return std::nullopt;
  }
}

Keys read_keys(Cursor& cursor, std::uint64_t count) {
  constexpr std::uint64_t kMaxSplit = 65535;
  Keys keys;
  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < count && !cursor.failed(); ++i) {
    const std::string key = cursor.text(kMaxKeyName, "a key");
    const auto type = cursor.number<std::uint32_t>();
    const auto value = take_whole(cursor, type);
    if (cursor.failed()) return keys;
    if (!seen.insert(key).second) cursor.fail(fmt::format("it has the key '{}' twice", printable(key)));
    if (key == GGUF_KEY_GENERAL_ALIGNMENT) {
      if (!value || type != GGUF_TYPE_UINT32 || !std::has_single_bit(*value)) {
        cursor.fail("an alignment that is no power of two");
      }
      keys.alignment = value.value_or(1);
    }
    if (!value) continue;
    const auto number = static_cast<std::uint32_t>(std::min<std::uint64_t>(*value, ~0U));
    if (key == "split.count") keys.split.count = std::clamp<std::uint32_t>(number, 1, kMaxSplit);
    if (key == "split.no") keys.split.number = number;
    if (key == "split.tensors.count") keys.split.tensors = number;
  }
  return keys;
}

/// One entry of the list of tensors; its offset is still relative to the data.
GgufTensor read_tensor(Cursor& cursor) {
  GgufTensor tensor;
  tensor.name = cursor.text(kMaxTensorName, "a tensor's name");
  const auto dimensions = cursor.number<std::uint32_t>();
  if (dimensions > tensor.shape.size()) cursor.fail(fmt::format("a tensor of {} dimensions", dimensions));
  for (std::uint32_t i = 0; i < dimensions && !cursor.failed(); ++i) {
    tensor.shape.at(i) = cursor.number<std::uint64_t>();
  }
  tensor.type = cursor.number<std::uint32_t>();
  tensor.offset = cursor.number<std::uint64_t>();
  if (cursor.failed()) return tensor;
  if (tensor.name.find('\0') != std::string::npos) cursor.fail("a tensor's name with a zero in it");
  const auto bytes = tensor_bytes(tensor.type, tensor.shape);
  if (!bytes) {
    cursor.fail(fmt::format("tensor '{}' has an impossible size or unknown type ({}, {})",
                            printable(tensor.name), tensor.type, fmt::join(tensor.shape, " x ")));
  }
  tensor.bytes = bytes.value_or(0);
  return tensor;
}

std::uint64_t padded(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Makes the offsets absolute. Tensors lie one behind the other, as ggml demands: so they cannot overlap.
Result<void> place(const ByteReader& source, std::uint64_t alignment, std::uint64_t data,
                   std::vector<GgufTensor>& tensors) {
  std::uint64_t expected = 0;
  for (GgufTensor& tensor : tensors) {
    if (tensor.offset != expected) {
      return corrupt(source, fmt::format("tensor '{}' is said to be at {} instead of {}",
                                         printable(tensor.name), tensor.offset, expected));
    }
    // both below 2^63: a sum cannot overflow, and is compared before it grows on
    const std::uint64_t end = data + expected + tensor.bytes;
    if (end > source.size) {
      return corrupt(source, fmt::format("tensor '{}' ends at {}, the file at {}", printable(tensor.name),
                                         format_bytes(Bytes{end}), format_bytes(Bytes{source.size})));
    }
    tensor.offset = data + expected;
    expected += padded(tensor.bytes, alignment);
  }
  return {};
}

}  // namespace

std::optional<std::uint64_t> tensor_bytes(std::uint32_t type, const std::array<std::uint64_t, 4>& shape) {
  if (type >= GGML_TYPE_COUNT) return std::nullopt;
  const auto block = static_cast<std::uint64_t>(ggml_blck_size(static_cast<ggml_type>(type)));
  const std::uint64_t size = ggml_type_size(static_cast<ggml_type>(type));
  if (block == 0 || size == 0 || shape[0] % block != 0) return std::nullopt;
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) {
    const bool sane = std::all_of(shape.begin(), shape.end(), [](auto n) { return n < kMaxBytes; });
    return sane ? std::optional<std::uint64_t>(0) : std::nullopt;
  }
  std::uint64_t elements = 1;
  for (const std::uint64_t length : shape) {
    if (length > kMaxBytes / elements) return std::nullopt;
    elements *= length;
  }
  if (elements / block > kMaxBytes / size) return std::nullopt;
  return elements / block * size;
}

Result<GgufLayout> read_gguf_layout(const ByteReader& source) {
  Cursor cursor(source);
  const auto magic = cursor.number<std::array<char, 4>>();
  if (cursor.failed() || std::string_view(magic.data(), magic.size()) != GGUF_MAGIC) {
    return Error{Code::incompatible, fmt::format("{} is not a GGUF model", source.name), "name a .gguf file"};
  }
  const auto version = cursor.number<std::uint32_t>();
  if (!cursor.failed() && (version < 2 || version > GGUF_VERSION)) {
    return Error{Code::incompatible, fmt::format("{} is GGUF of version {}", source.name, version),
                 fmt::format("get it in version {}", GGUF_VERSION)};
  }
  const auto tensor_count = cursor.number<std::uint64_t>();
  const auto key_count = cursor.number<std::uint64_t>();
  if (key_count > kMaxKeys) cursor.fail(fmt::format("it claims to have {} keys", key_count));
  if (tensor_count > kMaxTensors) cursor.fail(fmt::format("it claims to have {} tensors", tensor_count));
  const Keys keys = read_keys(cursor, key_count);

  GgufLayout layout{keys.split, {}};
  std::unordered_set<std::string> names;
  for (std::uint64_t i = 0; i < tensor_count && !cursor.failed(); ++i) {
    GgufTensor tensor = read_tensor(cursor);
    if (!cursor.failed() && !names.insert(tensor.name).second) {
      cursor.fail(fmt::format("it has two tensors of the name '{}'", printable(tensor.name)));
    }
    layout.tensors.push_back(std::move(tensor));
  }
  if (cursor.failed()) return corrupt(source, cursor.why());
  const std::uint64_t data = padded(cursor.position(), keys.alignment);
  if (auto placed = place(source, keys.alignment, data, layout.tensors); !placed) return placed.error();
  return layout;
}

}  // namespace caravan::fabric
