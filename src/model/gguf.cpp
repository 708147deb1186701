#include "model/gguf.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "base/text.h"
#include "model/gguf_header.h"
#include "model/gguf_keys.h"
#include "model/shards.h"
#include "model/weight_facts.h"

namespace caravan::model {
namespace {

constexpr std::uint64_t kMaxLayers = 4096;

double bits(Bytes bytes, std::uint64_t weights) {
  return weights == 0 ? 0 : 8 * static_cast<double>(bytes.count) / static_cast<double>(weights);
}

/// What the first shard says about the model.
Result<ModelFacts> read_keys(const ByteSource& source, const GgufKeys& keys) {
  ModelFacts facts;
  const auto architecture = keys.text("general.architecture");
  if (!architecture || architecture->empty())
    return corrupt(source, "it has no usable 'general.architecture'");
  facts.architecture = printable(*architecture);
  const auto number = [&](const char* key) { return keys.whole(*architecture + "." + key).value_or(0); };
  const std::uint64_t layers = number("block_count");
  if (layers == 0 || layers > kMaxLayers) {
    return refuse(source, fmt::format("is no language model: no usable '{}.block_count'", facts.architecture),
                  "name the language model itself, not an adapter or a part for images");
  }
  facts.layers.resize(layers);
  facts.name = printable(keys.text("general.name").value_or(""));
  if (facts.name.empty()) facts.name = fs::path(source.name).stem().string();
  facts.context_length = number("context_length");
  facts.embedding_length = number("embedding_length");
  facts.per_layer_width = number("embedding_length_per_layer_input");
  facts.experts = number("expert_count");
  facts.experts_shared = number("expert_shared_count");
  return facts;
}

/// Shards belong together when each says its place, and all together have as many tensors as each says.
Result<std::vector<GgufHeader>> read_headers(const std::vector<ByteSource>& shards) {
  std::vector<GgufHeader> headers;
  std::uint64_t tensors = 0;
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    auto header = read_header(shards[i]);
    if (!header) return header.error();
    const GgufKeys keys(*header->gguf);
    const std::uint64_t count = std::max<std::uint64_t>(1, keys.whole("split.count").value_or(1));
    const std::uint64_t number = keys.whole("split.no").value_or(0);
    if (count != shards.size() || (count > 1 && number != i)) {
      return refuse(shards[i],
                    count == 1 ? fmt::format("is a whole model, not shard {} of {}", i + 1, shards.size())
                               : fmt::format("is shard {} of {}, not {} of {}", number + 1, count, i + 1,
                                             shards.size()),
                    "keep the shards of a model under their own names, x-00001-of-00003.gguf, in one folder");
    }
    tensors += header->tensors.size();
    expected = keys.whole("split.tensors.count").value_or(expected);
    headers.push_back(std::move(*header));
  }
  if (shards.size() > 1 && expected != 0 && expected != tensors) {
    return refuse(shards.front(),
                  fmt::format("has shards of different models: {} tensors instead of {}", tensors, expected),
                  "get all shards again, from one place");
  }
  return headers;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// Owns the file; ggml reads value by value, and a seek each would throw stdio's buffer away.
class FileReader {
 public:
  explicit FileReader(std::FILE* file) : file_(file) {}

  std::size_t read(void* out, std::uint64_t offset, std::size_t length) {
    if (offset != position_ && std::fseek(file_.get(), static_cast<long>(offset), SEEK_SET) != 0) return 0;
    const std::size_t got = std::fread(out, 1, length, file_.get());
    position_ = offset + got;
    return got;
  }

 private:
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::uint64_t position_ = 0;
};

Result<ByteSource> open_source(const fs::path& path) {
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (fs::exists(status) && !fs::is_regular_file(status)) {  // opening a pipe would wait for its writer
    const char* what = fs::is_directory(status) ? "is a folder" : "is not a regular file";
    return Error{Code::incompatible, fmt::format("{} {}", path.string(), what), "name a .gguf file"};
  }
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return errno_error(fmt::format("cannot open {}", path.string()), errno);
  const auto reader = std::make_shared<FileReader>(file);
  const std::uintmax_t size = fs::file_size(path, failure);
  if (failure) return errno_error(fmt::format("cannot read {}", path.string()), failure.value());
  return ByteSource{path.filename().string(), Bytes{size},
                    [reader](void* out, std::uint64_t offset, std::size_t length) {
                      return reader->read(out, offset, length);
                    }};
}

}  // namespace

double TypeShare::bits_per_weight() const { return bits(bytes, parameters); }

double ModelFacts::bits_per_weight() const { return bits(weights(), parameters); }

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

Bytes ModelFacts::active_of_layer(std::size_t layer) const {
  if (layer >= layer_facts.size() || experts == 0) return layers.at(layer);
  const LayerFacts& facts = layer_facts[layer];
  const double used = std::min(1.0, static_cast<double>(facts.experts_used) / static_cast<double>(experts));
  const double idle = static_cast<double>(facts.experts.count) * (1.0 - used);
  return Bytes{layers[layer].count - static_cast<std::uint64_t>(idle)};
}

Bytes ModelFacts::active_per_token() const {
  Bytes sum = head;
  for (std::size_t i = 0; i < n_layers(); ++i) sum += active_of_layer(i);
  return sum;
}

Result<ModelFacts> read_model_facts(const std::vector<ByteSource>& shards) {
  if (shards.empty()) return Error{Code::bug, "a model without a file", ""};
  auto headers = read_headers(shards);
  if (!headers) return headers.error();
  const GgufKeys keys(*headers->front().gguf);
  auto facts = read_keys(shards.front(), keys);
  if (!facts) return facts;
  facts->shards = shards.size();
  std::vector<GgufTensor> tensors;
  for (GgufHeader& header : *headers) {
    tensors.insert(tensors.end(), std::make_move_iterator(header.tensors.begin()),
                   std::make_move_iterator(header.tensors.end()));
  }
  for (const ByteSource& shard : shards) facts->file_size += shard.size;
  if (tensors.empty()) {
    return refuse(shards.front(), "has no weights, only a vocabulary", "name a complete model");
  }
  if (const auto weighed = weigh(tensors, *facts); !weighed) {
    return corrupt(shards.front(), weighed.error().message);
  }
  facts->quantization = quantization_of(keys.whole("general.file_type"), tensors);
  const std::string architecture = keys.text("general.architecture").value_or("");
  add_layer_facts(keys, tensors, architecture, *facts);
  return facts;
}

Result<ModelFacts> read_model_facts(const ByteSource& source) {
  return read_model_facts(std::vector<ByteSource>{source});
}

Result<ModelFacts> read_model_facts(const fs::path& path) {
  std::vector<ByteSource> shards;
  const std::vector<std::string> names = shard_names(path.string());
  for (const std::string& name : names) {
    auto source = open_source(name);
    if (!source) {
      if (source.error().code != Code::not_found || names.size() == 1) return source.error();
      return Error{Code::not_found, fmt::format("{} is missing: the model has {} shards", name, names.size()),
                   "get all of them into one folder"};
    }
    shards.push_back(std::move(*source));
  }
  return read_model_facts(shards);
}

}  // namespace caravan::model
