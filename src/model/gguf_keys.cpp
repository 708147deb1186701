#include "model/gguf_keys.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace caravan::model {
namespace {

/// The integer of this type at `data`, unless negative or not an integer type. Array data need not be
/// aligned.
template <typename T>
std::optional<std::uint64_t> load(const void* data, std::size_t index) {
  T value{};
  std::memcpy(&value, static_cast<const char*>(data) + index * sizeof(T), sizeof(T));
  if (std::is_signed_v<T> && value < T{}) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

std::optional<std::uint64_t> load_integer(gguf_type type, const void* data, std::size_t index) {
  switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_BOOL:
      return load<std::uint8_t>(data, index);
    case GGUF_TYPE_INT8:
      return load<std::int8_t>(data, index);
    case GGUF_TYPE_UINT16:
      return load<std::uint16_t>(data, index);
    case GGUF_TYPE_INT16:
      return load<std::int16_t>(data, index);
    case GGUF_TYPE_UINT32:
      return load<std::uint32_t>(data, index);
    case GGUF_TYPE_INT32:
      return load<std::int32_t>(data, index);
    case GGUF_TYPE_UINT64:
      return load<std::uint64_t>(data, index);
    case GGUF_TYPE_INT64:
      return load<std::int64_t>(data, index);
    default:
      return std::nullopt;
  }
}

}  // namespace

bool GgufKeys::has(const std::string& key) const { return gguf_find_key(&gguf_, key.c_str()) >= 0; }

std::optional<std::string> GgufKeys::text(const std::string& key) const {
  const std::int64_t id = gguf_find_key(&gguf_, key.c_str());
  if (id < 0 || gguf_get_kv_type(&gguf_, id) != GGUF_TYPE_STRING) return std::nullopt;
  return gguf_get_val_str(&gguf_, id);
}

std::optional<std::uint64_t> GgufKeys::whole(const std::string& key) const {
  const std::int64_t id = gguf_find_key(&gguf_, key.c_str());
  if (id < 0) return std::nullopt;
  const gguf_type type = gguf_get_kv_type(&gguf_, id);
  if (type == GGUF_TYPE_STRING || type == GGUF_TYPE_ARRAY) return std::nullopt;
  return load_integer(type, gguf_get_val_data(&gguf_, id), 0);
}

std::optional<std::uint64_t> GgufKeys::length(const std::string& key) const {
  const std::int64_t id = gguf_find_key(&gguf_, key.c_str());
  if (id < 0 || gguf_get_kv_type(&gguf_, id) != GGUF_TYPE_ARRAY) return std::nullopt;
  return gguf_get_arr_n(&gguf_, id);
}

std::optional<std::vector<std::uint64_t>> GgufKeys::whole_list(const std::string& key,
                                                               std::size_t count) const {
  const std::int64_t id = gguf_find_key(&gguf_, key.c_str());
  if (id < 0) return std::nullopt;
  if (gguf_get_kv_type(&gguf_, id) != GGUF_TYPE_ARRAY) {
    const auto one = whole(key);
    if (!one) return std::nullopt;
    return std::vector<std::uint64_t>(count, *one);
  }
  const gguf_type type = gguf_get_arr_type(&gguf_, id);
  if (type == GGUF_TYPE_STRING || gguf_get_arr_n(&gguf_, id) < count) return std::nullopt;
  std::vector<std::uint64_t> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = load_integer(type, gguf_get_arr_data(&gguf_, id), i);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<GgufTensor> tensor_of(const gguf_context& gguf, std::int64_t index) {
  GgufTensor tensor;
  tensor.name = gguf_get_tensor_name(&gguf, index);
  tensor.type = gguf_get_tensor_type(&gguf, index);
  const std::int64_t* shape = gguf_get_tensor_ne(&gguf, index);
  tensor.rows = static_cast<std::uint64_t>(shape[1]);
  const auto block = static_cast<std::uint64_t>(ggml_blck_size(tensor.type));
  std::uint64_t bytes = static_cast<std::uint64_t>(shape[0]) / block;
  bool overflow = __builtin_mul_overflow(bytes, ggml_type_size(tensor.type), &bytes);
  for (int i = 1; i < GGML_MAX_DIMS; ++i) {
    overflow |= __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(shape[i]), &bytes);
  }
  tensor.bytes = bytes;
  std::uint64_t offset = gguf_get_data_offset(&gguf);
  overflow |= __builtin_add_overflow(offset, gguf_get_tensor_offset(&gguf, index), &offset);
  overflow |= __builtin_add_overflow(offset, bytes, &tensor.end);
  tensor.columns = static_cast<std::uint64_t>(shape[0]);
  tensor.weights = 1;
  for (int i = 0; i < GGML_MAX_DIMS; ++i) {
    overflow |= __builtin_mul_overflow(tensor.weights, static_cast<std::uint64_t>(shape[i]), &tensor.weights);
  }
  if (overflow) return std::nullopt;
  return tensor;
}

std::optional<std::size_t> layer_of_tensor(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (name.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  std::size_t layer = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (failure != std::errc{} || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return layer;
}

std::string_view name_of_file_type(std::uint64_t file_type) {
  // llama.cpp's enum llama_ftype; "" for numbers that were never or are no longer in use
  constexpr std::array<std::string_view, 42> kNames{
      "F32",   "F16",     "Q4_0",   "Q4_1",   "",       "",        "",       "Q8_0",   "Q5_0",
      "Q5_1",  "Q2_K",    "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S",  "Q4_K_M", "Q5_K_S", "Q5_K_M",
      "Q6_K",  "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S",  "IQ4_NL", "IQ3_S",
      "IQ3_M", "IQ2_S",   "IQ2_M",  "IQ4_XS", "IQ1_M",  "BF16",    "",       "",       "",
      "TQ1_0", "TQ2_0",   "MXFP4",  "NVFP4",  "Q1_0",   "Q2_0"};
  return file_type < kNames.size() ? kNames.at(file_type) : "";
}

}  // namespace caravan::model
