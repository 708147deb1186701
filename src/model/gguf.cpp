#include "model/gguf.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <new>

#include <fmt/format.h>
#include <gguf.h>

#include "base/text.h"
#include "model/foreign.h"
#include "model/gguf_keys.h"

namespace caravan::model {
namespace {

// What is put in front of ggml's reader, and why:
// - it compares every key and every tensor name with all before it, so that a few MiB of them take hours;
// - it allocates for array lengths that fit in the file, which is no limit for a sparse one, and a
// std::bad_alloc while it
//   reads a string value passes through it. It believes the size that it is told, so it is told at most
//   kMaxHeader.
// Real models have about 50 keys, up to 2,000 tensors and, for a vocabulary of 262,144, a header of 16 MiB.
constexpr std::uint64_t kMaxKeys = 8192;
constexpr std::uint64_t kMaxTensors = 16384;
constexpr Bytes kMaxHeader = mebibytes(64);
constexpr std::uint64_t kMaxLayers = 4096;
constexpr std::uint64_t kMaxHeadsOrLength = 1U << 20U;
constexpr std::size_t kFixedHeader = 24;  // magic, version, number of tensors, number of keys

struct FreeGguf {
  void operator()(gguf_context* gguf) const { gguf_free(gguf); }
};
using Gguf = std::unique_ptr<gguf_context, FreeGguf>;

/// ggml reports through one process-wide callback; what it says goes to whoever reads a model on this thread.
thread_local std::string* ggml_words = nullptr;

class CaptureGgmlWords {
 public:
  CaptureGgmlWords() {
    static const bool installed = [] {
      ggml_log_set(
          [](ggml_log_level, const char* text, void*) {
            if (ggml_words != nullptr && ggml_words->size() < 4096) ggml_words->append(text);
          },
          nullptr);
      return true;
    }();
    (void)installed;
    ggml_words = &words_;
  }
  CaptureGgmlWords(const CaptureGgmlWords&) = delete;
  CaptureGgmlWords& operator=(const CaptureGgmlWords&) = delete;
  ~CaptureGgmlWords() { ggml_words = nullptr; }

  /// The first line, which is the most exact one, without the name of ggml's function in front.
  std::string first_line() const {
    std::string_view line = std::string_view(words_).substr(0, words_.find('\n'));
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos && line.substr(0, colon).find(' ') == std::string_view::npos) {
      line.remove_prefix(colon + 2);
    }
    return printable(trim(line));
  }

 private:
  std::string words_;
};

Error refuse(const ByteSource& source, std::string_view what, std::string hint) {
  return Error{Code::incompatible, fmt::format("{} {}", source.name, what), std::move(hint)};
}

Error corrupt(const ByteSource& source, std::string_view why) {
  return refuse(source, fmt::format("is corrupt: {}", why), "get the file again: `caravan models pull`");
}

Error truncated(const ByteSource& source, Bytes expected) {
  return refuse(source,
                fmt::format("is truncated: {} of {}", format_bytes(source.size), format_bytes(expected)),
                "get the file again: `caravan models pull`");
}

std::size_t read_for_ggml(void* user_data, void* output, std::uint64_t offset, std::size_t length) {
  return std::min(length, static_cast<const ByteSource*>(user_data)->read(output, offset, length));
}

/// Magic number and counts, before ggml sees the file.
Result<void> check_fixed_header(const ByteSource& source) {
  std::array<char, 64> head{};
  const std::size_t got = source.read(head.data(), 0, head.size());
  if (const auto foreign = recognise_foreign(std::string_view(head.data(), got))) {
    return refuse(source, fmt::format("is not a GGUF model but {}", foreign->what),
                  std::string(foreign->cure));
  }
  if (got < kFixedHeader) return corrupt(source, "it ends inside its header");
  std::uint64_t tensors = 0;
  std::uint64_t keys = 0;
  std::memcpy(&tensors, head.data() + 8, sizeof tensors);
  std::memcpy(&keys, head.data() + 16, sizeof keys);
  if (keys > kMaxKeys) return corrupt(source, fmt::format("it claims to have {} keys", keys));
  if (tensors > kMaxTensors) return corrupt(source, fmt::format("it claims to have {} tensors", tensors));
  return {};
}

Result<Gguf> parse_header(const ByteSource& source) {
  const CaptureGgmlWords words;
  const gguf_init_params header_only{/*no_alloc=*/true, /*ctx=*/nullptr};
  const std::uint64_t size = std::min(source.size, kMaxHeader).count;
  Gguf gguf;
  try {
    auto* user_data =
        const_cast<ByteSource*>(&source);  // comes back in read_for_ggml, which does not change it
    gguf.reset(gguf_init_from_callback(read_for_ggml, user_data, 0, size, header_only));
  } catch (const std::bad_alloc&) {
    return Error{Code::exhausted, fmt::format("not enough memory to read the header of {}", source.name), ""};
  }
  if (gguf) return gguf;
  const std::string why = words.first_line();
  // ggml says no more than "failed to read" about a header that ends early
  if (why.rfind("failed to read", 0) == 0 || why.rfind("failed to seek", 0) == 0) {
    if (source.size > kMaxHeader) return corrupt(source, "its header is larger than that of any model");
    return corrupt(source, fmt::format("it ends inside its header, at {}", format_bytes(source.size)));
  }
  return corrupt(source, why);
}

/// The tensors, all checked to end inside the file.
Result<std::vector<GgufTensor>> read_tensors(const ByteSource& source, const gguf_context& gguf) {
  std::vector<GgufTensor> tensors;
  std::uint64_t end = 0;
  for (std::int64_t i = 0; i < gguf_get_n_tensors(&gguf); ++i) {
    auto tensor = tensor_of(gguf, i);
    if (!tensor) {
      return corrupt(
          source, fmt::format("impossible size of tensor '{}'", printable(gguf_get_tensor_name(&gguf, i))));
    }
    end = std::max(end, tensor->end);
    tensors.push_back(std::move(*tensor));
  }
  if (tensors.empty()) return refuse(source, "has no weights, only a vocabulary", "name a complete model");
  if (end > source.size.count) return truncated(source, Bytes{end});
  return tensors;
}

/// Sorts the tensors into layers, embedding, head and other.
Result<void> weigh(const ByteSource& source, const std::vector<GgufTensor>& tensors, ModelFacts& facts) {
  bool has_embedding = false;
  for (const GgufTensor& tensor : tensors) {
    const Bytes bytes{tensor.bytes};
    if (const auto layer = layer_of_tensor(tensor.name)) {
      if (*layer >= facts.n_layers()) {
        return corrupt(source,
                       fmt::format("it has a layer {}, but says that it has {}", *layer, facts.n_layers()));
      }
      facts.layers[*layer] += bytes;
    } else if (tensor.name == "token_embd.weight") {
      has_embedding = true;
      facts.embedding = bytes;
      facts.vocabulary = tensor.rows;
    } else if (tensor.name == "output.weight") {
      facts.head = bytes;
    } else {
      facts.other += bytes;
    }
  }
  if (!has_embedding) return corrupt(source, "it has no token_embd.weight");
  facts.tied_head = facts.head == Bytes{};
  if (facts.tied_head) facts.head = facts.embedding;
  return {};
}

/// Empty when the model does not say enough, or has no attention in the plain sense.
std::vector<Bytes> kv_per_token(const GgufKeys& keys, const ModelFacts& facts) {
  const std::string prefix = facts.architecture + ".attention.";
  const auto heads = keys.whole_list(prefix + "head_count", facts.n_layers());
  const bool says_kv_heads = keys.has(prefix + "head_count_kv");
  const auto kv_heads = says_kv_heads ? keys.whole_list(prefix + "head_count_kv", facts.n_layers()) : heads;
  if (!kv_heads || !heads || keys.has(facts.architecture + ".ssm.state_size")) return {};
  const std::uint64_t most_heads = *std::max_element(heads->begin(), heads->end());
  const std::uint64_t by_default = most_heads == 0 ? 0 : facts.embedding_length / most_heads;
  const std::uint64_t key_length = keys.whole(prefix + "key_length").value_or(by_default);
  const std::uint64_t value_length = keys.whole(prefix + "value_length").value_or(by_default);
  if (std::max(key_length, value_length) > kMaxHeadsOrLength || key_length + value_length == 0) return {};
  constexpr std::uint64_t kBytesOfF16 = 2;
  std::vector<Bytes> bytes;
  for (const std::uint64_t count : *kv_heads) {
    if (count > kMaxHeadsOrLength) return {};
    bytes.push_back(Bytes{count * (key_length + value_length) * kBytesOfF16});
  }
  return bytes;
}

std::string quantization_of(const GgufKeys& keys, const std::vector<GgufTensor>& tensors) {
  const auto file_type = keys.whole("general.file_type");
  if (file_type && !name_of_file_type(*file_type).empty()) return std::string(name_of_file_type(*file_type));
  std::map<ggml_type, int> counts;
  for (const GgufTensor& tensor : tensors) {
    if (tensor.rows > 1) ++counts[tensor.type];  // norms and biases have one row and are never quantized
  }
  const auto most = std::max_element(counts.begin(), counts.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string name = ggml_type_name(most == counts.end() ? tensors.front().type : most->first);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
  return name;
}

Result<ModelFacts> read_keys(const ByteSource& source, const GgufKeys& keys) {
  ModelFacts facts;
  facts.file_size = source.size;
  if (const auto shards = keys.whole("split.count"); shards.value_or(1) > 1) {
    return refuse(source,
                  fmt::format("is shard {} of {}, which is not supported yet",
                              keys.whole("split.no").value_or(0) + 1, *shards),
                  "join them into one file: llama-gguf-split --merge FIRST_SHARD OUTPUT.gguf");
  }
  const auto architecture = keys.text("general.architecture");
  if (!architecture || architecture->empty())
    return corrupt(source, "it has no usable 'general.architecture'");
  facts.architecture = printable(*architecture);
  const auto layers = keys.whole(*architecture + ".block_count");
  if (!layers || *layers == 0 || *layers > kMaxLayers) {
    return refuse(source, fmt::format("is no language model: no usable '{}.block_count'", facts.architecture),
                  "name the language model itself, not an adapter or a part for images");
  }
  facts.layers.resize(*layers);
  facts.name = printable(keys.text("general.name").value_or(""));
  if (facts.name.empty()) facts.name = fs::path(source.name).stem().string();
  facts.context_length = keys.whole(*architecture + ".context_length").value_or(0);
  facts.embedding_length = keys.whole(*architecture + ".embedding_length").value_or(0);
  return facts;
}

}  // namespace

Bytes ModelFacts::weights() const {
  Bytes sum = embedding + other;
  if (!tied_head) sum += head;
  for (const Bytes layer : layers) sum += layer;
  return sum;
}

Bytes ModelFacts::kv_per_token_of_all_layers() const {
  Bytes sum;
  for (const Bytes layer : kv_per_token) sum += layer;
  return sum;
}

Result<ModelFacts> read_model_facts(const ByteSource& source) {
  if (const auto checked = check_fixed_header(source); !checked) return checked.error();
  const auto gguf = parse_header(source);
  if (!gguf) return gguf.error();
  const GgufKeys keys(**gguf);
  auto facts = read_keys(source, keys);
  if (!facts) return facts;
  const auto tensors = read_tensors(source, **gguf);
  if (!tensors) return tensors.error();
  if (const auto weighed = weigh(source, *tensors, *facts); !weighed) return weighed.error();
  facts->quantization = quantization_of(keys, *tensors);
  facts->kv_per_token = kv_per_token(keys, *facts);
  return facts;
}

Result<ModelFacts> read_model_facts(const fs::path& path) {
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (fs::exists(status) && !fs::is_regular_file(status)) {  // opening a pipe would wait for its writer
    const char* what = fs::is_directory(status) ? "is a folder" : "is not a regular file";
    return Error{Code::incompatible, fmt::format("{} {}", path.string(), what), "name a .gguf file"};
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file) return errno_error(fmt::format("cannot open {}", path.string()), errno);
  const std::uintmax_t size = fs::file_size(path, failure);
  if (failure) return errno_error(fmt::format("cannot read {}", path.string()), failure.value());
  std::uint64_t position = 0;
  const auto read = [&](void* out, std::uint64_t offset, std::size_t length) -> std::size_t {
    // ggml reads value by value; a seek each would throw stdio's buffer away
    if (offset != position && std::fseek(file.get(), static_cast<long>(offset), SEEK_SET) != 0) return 0;
    const std::size_t got = std::fread(out, 1, length, file.get());
    position = offset + got;
    return got;
  };
  return read_model_facts(ByteSource{path.filename().string(), Bytes{size}, read});
}

}  // namespace caravan::model
