// Makes GGUF files of random weights in the shapes of real models: for memory and speed, where the values do
// not matter. They are small and finite, so that the engine loads them and runs.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>

#include "lab/random_shapes.h"

namespace caravan::lab {
namespace {

namespace fs = std::filesystem;

/// A row that was quantized once is used again in other places: quantizing each one of a 3B model would take
/// minutes.
constexpr std::size_t kRowsInPool = 64;

struct Options {
  std::string shape;
  std::string quantization = "q4_k_m";
  fs::path vocabulary;
  fs::path out;
  std::uint64_t seed = 1;
  std::uint32_t layers = 0;
};

struct FreeGguf {
  void operator()(gguf_context* gguf) const { gguf_free(gguf); }
};
struct FreeGgml {
  void operator()(ggml_context* ggml) const { ggml_free(ggml); }
};
using Gguf = std::unique_ptr<gguf_context, FreeGguf>;
using Ggml = std::unique_ptr<ggml_context, FreeGgml>;

struct Quantization {
  ggml_type type = GGML_TYPE_Q4_K;
  std::uint32_t file_type = 15;  ///< llama.cpp's enum llama_ftype
  bool mixed = true;             ///< more bits for what matters more
};

Quantization quantization_of(const std::string& name) {
  static const std::map<std::string, Quantization> known{{"f16", {GGML_TYPE_F16, 1, false}},
                                                         {"q8_0", {GGML_TYPE_Q8_0, 7, false}},
                                                         {"q4_0", {GGML_TYPE_Q4_0, 2, true}},
                                                         {"q4_k_m", {GGML_TYPE_Q4_K, 15, true}},
                                                         {"q6_k", {GGML_TYPE_Q6_K, 18, true}}};
  const auto found = known.find(name);
  if (found == known.end()) {
    throw std::runtime_error(fmt::format("unknown quantization '{}': f16, q8_0, q6_k, q4_k_m or q4_0", name));
  }
  return found->second;
}

/// As llama-quantize chooses (llama_tensor_get_type_impl and tensor_type_fallback in llama-quant.cpp).
ggml_type type_of(const Tensor& tensor, const Shape& shape, const Quantization& quantization) {
  const auto n_layers = static_cast<int>(shape.layers);
  const auto is_head = tensor.role == Role::head || (tensor.role == Role::embedding && shape.tied);
  const bool more_bits = tensor.layer < n_layers / 8 || tensor.layer >= 7 * n_layers / 8 ||
                         (tensor.layer - n_layers / 8) % 3 == 2;
  ggml_type type = quantization.type;
  if (tensor.role < Role::matrix) return GGML_TYPE_F32;
  if (quantization.mixed && is_head) type = GGML_TYPE_Q6_K;
  const bool matters = tensor.role == Role::value || tensor.role == Role::down;
  if (quantization.file_type == 15 && matters && more_bits) type = GGML_TYPE_Q6_K;
  if (tensor.size[0] % ggml_blck_size(type) == 0) return type;
  if (type == GGML_TYPE_Q4_K && tensor.size[0] % 32 == 0) return GGML_TYPE_Q5_0;
  if (type == GGML_TYPE_Q6_K && tensor.size[0] % 32 == 0) return GGML_TYPE_Q8_0;
  return GGML_TYPE_F16;
}

/// Rows of one role, type and length, already quantized.
class RowPool {
 public:
  RowPool(Role role, ggml_type type, std::int64_t length, std::mt19937_64& random)
      : row_size_(ggml_row_size(type, length)) {
    std::vector<float> values(static_cast<std::size_t>(length) * kRowsInPool);
    for (float& value : values) value = value_for(role, random);
    bytes_.resize(row_size_ * kRowsInPool);
    if (type == GGML_TYPE_F32) {
      std::memcpy(bytes_.data(), values.data(), bytes_.size());
    } else {
      ggml_quantize_chunk(type, values.data(), bytes_.data(), 0, kRowsInPool, length, nullptr);
    }
  }

  const char* row(std::size_t index) const { return bytes_.data() + index % kRowsInPool * row_size_; }
  std::size_t row_size() const { return row_size_; }

 private:
  /// Not std::normal_distribution: its numbers differ between standard libraries.
  static float value_for(Role role, std::mt19937_64& random) {
    const float uniform = static_cast<float>(random() >> 40U) / static_cast<float>(1U << 24U);
    if (role == Role::norm) return 1.0F;
    if (role == Role::bias) return 0.0F;
    if (role == Role::decay) return -0.5F - uniform;
    return (uniform - 0.5F) * 0.07F;  // standard deviation 0.02, as in a model before it is trained
  }

  std::size_t row_size_;
  std::vector<char> bytes_;
};

class Output {
 public:
  explicit Output(const fs::path& path) : path_(path), file_(std::fopen(path.c_str(), "wb"), std::fclose) {
    if (!file_) throw std::runtime_error(fmt::format("cannot write {}", path.string()));
  }
  void write(const void* data, std::size_t size) {
    if (std::fwrite(data, 1, size, file_.get()) != size) {
      throw std::runtime_error(fmt::format("cannot write {}: is the disk full?", path_.string()));
    }
  }
  void close() {
    if (std::fclose(file_.release()) != 0) {
      throw std::runtime_error(fmt::format("cannot write {}: is the disk full?", path_.string()));
    }
  }

 private:
  fs::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

/// The keys of the tokenizer, and with them the number of its tokens.
Gguf start_from_vocabulary(const fs::path& path, std::uint32_t& tokens) {
  const Gguf source(gguf_init_from_file(path.c_str(), {/*no_alloc=*/true, /*ctx=*/nullptr}));
  if (!source) throw std::runtime_error(fmt::format("cannot read the vocabulary {}", path.string()));
  Gguf gguf(gguf_init_empty());
  gguf_set_kv(gguf.get(), source.get());
  std::vector<std::string> foreign;
  for (std::int64_t i = 0; i < gguf_get_n_kv(source.get()); ++i) {
    const std::string key = gguf_get_key(source.get(), i);
    if (key.rfind("tokenizer.", 0) != 0) foreign.push_back(key);
  }
  for (const std::string& key : foreign) gguf_remove_key(gguf.get(), key.c_str());
  const std::int64_t list = gguf_find_key(gguf.get(), "tokenizer.ggml.tokens");
  if (list < 0) throw std::runtime_error(fmt::format("{} has no tokens", path.string()));
  tokens = static_cast<std::uint32_t>(gguf_get_arr_n(gguf.get(), list));
  return gguf;
}

void set_key(gguf_context* gguf, const std::string& key, const Value& value) {
  if (const auto* number = std::get_if<std::uint32_t>(&value)) gguf_set_val_u32(gguf, key.c_str(), *number);
  if (const auto* real = std::get_if<float>(&value)) gguf_set_val_f32(gguf, key.c_str(), *real);
  if (const auto* truth = std::get_if<bool>(&value)) gguf_set_val_bool(gguf, key.c_str(), *truth);
  if (const auto* text = std::get_if<std::string>(&value)) {
    gguf_set_val_str(gguf, key.c_str(), text->c_str());
  }
  if (const auto* list = std::get_if<std::vector<std::uint32_t>>(&value)) {
    gguf_set_arr_data(gguf, key.c_str(), GGUF_TYPE_UINT32, list->data(), list->size());
  }
}

void write_weights(Output& out, const std::vector<Tensor>& tensors, ggml_context* ggml, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::map<std::tuple<Role, ggml_type, std::int64_t>, RowPool> pools;
  const std::array<char, GGUF_DEFAULT_ALIGNMENT> padding{};
  for (const Tensor& tensor : tensors) {
    const ggml_tensor* shape = ggml_get_tensor(ggml, tensor.name.c_str());
    const std::int64_t length = tensor.size[0];
    const auto pool =
        pools.try_emplace({tensor.role, shape->type, length}, tensor.role, shape->type, length, random).first;
    std::size_t written = 0;
    for (std::int64_t row = 0; row < ggml_nrows(shape); ++row) {
      out.write(pool->second.row(random() >> 32U), pool->second.row_size());
      written += pool->second.row_size();
    }
    out.write(padding.data(), (padding.size() - written % padding.size()) % padding.size());
  }
}

void make(const Options& options) {
  const Shape* known = find_shape(options.shape);
  if (known == nullptr) {
    std::string names;
    for (const Shape& shape : shapes()) names += " " + shape.name;
    throw std::runtime_error(fmt::format("unknown shape '{}'; known:{}", options.shape, names));
  }
  Shape shape = *known;
  if (options.layers > 0) shape.layers = options.layers;
  const Quantization quantization = quantization_of(options.quantization);
  const fs::path vocabulary = fs::is_directory(options.vocabulary)
                                  ? options.vocabulary / ("ggml-vocab-" + shape.vocabulary + ".gguf")
                                  : options.vocabulary;
  std::uint32_t tokens = 0;
  const Gguf gguf = start_from_vocabulary(vocabulary, tokens);
  set_key(gguf.get(), "general.architecture", shape.architecture);
  set_key(gguf.get(), "general.name", fmt::format("Random {}", shape.name));
  set_key(gguf.get(), "general.file_type", quantization.file_type);
  set_key(gguf.get(), "general.quantization_version", std::uint32_t{GGML_QNT_VERSION});
  for (const auto& [key, value] : keys_of(shape, tokens)) set_key(gguf.get(), key, value);

  const std::vector<Tensor> tensors = tensors_of(shape, tokens);
  const Ggml ggml(ggml_init({ggml_tensor_overhead() * tensors.size(), nullptr, /*no_alloc=*/true}));
  for (const Tensor& tensor : tensors) {
    ggml_tensor* made = ggml_new_tensor(ggml.get(), type_of(tensor, shape, quantization),
                                        static_cast<int>(tensor.size.size()), tensor.size.data());
    ggml_set_name(made, tensor.name.c_str());
    gguf_add_tensor(gguf.get(), made);
  }
  std::vector<char> head(gguf_get_meta_size(gguf.get()));
  gguf_get_meta_data(gguf.get(), head.data());
  Output out(options.out);
  out.write(head.data(), head.size());
  write_weights(out, tensors, ggml.get(), options.seed);
  out.close();
}

}  // namespace
}  // namespace caravan::lab

int main(int argc, char** argv) {
  caravan::lab::Options options;
  CLI::App app("Makes a GGUF model of random weights in the shape of a real one");
  app.footer(
      "Example:\n  lab_random_model --shape qwen2.5-0.5b --quant q4_k_m --vocab llama.cpp/models --out "
      "x.gguf");
  app.add_option("--shape", options.shape, "a name; any other prints all")->required();
  app.add_option("--quant", options.quantization, "f16, q8_0, q6_k, q4_k_m or q4_0");
  app.add_option("--vocab", options.vocabulary, "a ggml-vocab-*.gguf of llama.cpp, or the folder of them")
      ->required();
  app.add_option("--out", options.out, "the file to write")->required();
  app.add_option("--seed", options.seed, "same seed, same file");
  app.add_option("--layers", options.layers, "another number of layers than the shape has");
  CLI11_PARSE(app, argc, argv);
  try {
    caravan::lab::make(options);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "error: {}\n", failure.what());
    return 1;
  }
  return 0;
}
