// For tests: writes GGUF files by hand, also wrong ones that ggml's own writer would refuse to write.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gguf.h>

#include "model/gguf.h"

namespace caravan::model {

class GgufBuilder {
 public:
  GgufBuilder& text(std::string_view key, std::string_view value) {
    begin_key(key, GGUF_TYPE_STRING);
    put_text(keys_, value);
    return *this;
  }
  GgufBuilder& number(std::string_view key, std::uint32_t value) {
    return number_as(key, GGUF_TYPE_UINT32, value);
  }
  template <typename T>
  GgufBuilder& number_as(std::string_view key, gguf_type type, T value) {
    begin_key(key, type);
    put(keys_, value);
    return *this;
  }
  template <typename T>
  GgufBuilder& list(std::string_view key, gguf_type type, const std::vector<T>& values) {
    begin_key(key, GGUF_TYPE_ARRAY);
    put(keys_, static_cast<std::uint32_t>(type));
    put(keys_, static_cast<std::uint64_t>(values.size()));
    for (const T value : values) put(keys_, value);
    return *this;
  }
  /// A tensor of floats, or of whatever type of 4 bytes an element is named.
  GgufBuilder& tensor(std::string_view name, const std::vector<std::uint64_t>& shape,
                      ggml_type type = GGML_TYPE_F32) {
    put_text(tensors_, name);
    put(tensors_, static_cast<std::uint32_t>(shape.size()));
    std::uint64_t bytes = 4;
    for (const std::uint64_t length : shape) {
      put(tensors_, length);
      bytes *= length;
    }
    put(tensors_, static_cast<std::uint32_t>(type));
    put(tensors_, data_bytes_);
    data_bytes_ += (bytes + 31) / 32 * 32;
    ++tensor_count_;
    return *this;
  }
  /// Claims other counts in the header than there are.
  GgufBuilder& claim(std::uint64_t tensors, std::uint64_t keys) {
    claimed_ = {tensors, keys};
    return *this;
  }

  std::string bytes() const {
    std::string out = "GGUF";
    put(out, std::uint32_t{3});
    put(out, claimed_.empty() ? tensor_count_ : claimed_[0]);
    put(out, claimed_.empty() ? key_count_ : claimed_[1]);
    out += keys_ + tensors_;
    if (tensor_count_ > 0) out.resize((out.size() + 31) / 32 * 32 + data_bytes_, '\0');
    return out;
  }

 private:
  template <typename T>
  static void put(std::string& out, T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out.append(raw, sizeof(T));
  }
  static void put_text(std::string& out, std::string_view text) {
    put(out, static_cast<std::uint64_t>(text.size()));
    out += text;
  }
  void begin_key(std::string_view key, gguf_type type) {
    put_text(keys_, key);
    put(keys_, static_cast<std::uint32_t>(type));
    ++key_count_;
  }

  std::string keys_;
  std::string tensors_;
  std::vector<std::uint64_t> claimed_;
  std::uint64_t key_count_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t data_bytes_ = 0;
};

/// A llama of two layers, 8 wide, with 4 heads of which 2 are for keys and values, and 16 tokens.
inline GgufBuilder small_llama() {
  GgufBuilder builder;
  builder.text("general.architecture", "llama").text("general.name", "Small").number("llama.block_count", 2);
  builder.number("llama.context_length", 2048).number("llama.embedding_length", 8);
  builder.number("llama.attention.head_count", 4).number("llama.attention.head_count_kv", 2);
  builder.tensor("token_embd.weight", {8, 16}).tensor("output_norm.weight", {8});
  builder.tensor("blk.0.attn_q.weight", {8, 8}).tensor("blk.0.attn_norm.weight", {8});
  builder.tensor("blk.1.attn_q.weight", {8, 8}).tensor("blk.1.ffn_up.weight", {8, 32});
  return builder;
}

/// `bytes` must outlive the source.
inline ByteSource source_of(const std::string& bytes, std::string name = "x.gguf") {
  return ByteSource{std::move(name), Bytes{bytes.size()},
                    [&bytes](void* out, std::uint64_t offset, std::size_t length) -> std::size_t {
                      if (offset >= bytes.size()) return 0;
                      const std::size_t got = std::min<std::size_t>(length, bytes.size() - offset);
                      std::memcpy(out, bytes.data() + offset, got);
                      return got;
                    }};
}

}  // namespace caravan::model
