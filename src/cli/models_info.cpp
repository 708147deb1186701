#include "cli/models_info.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::cli {
namespace {

using model::LayerFacts;
using model::Memory;
using model::MemoryQuestion;
using model::ModelFacts;

std::optional<std::size_t> number_of(std::string_view text) {
  std::size_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<void> set_layers(const std::string& text, const ModelFacts& facts, MemoryQuestion& question) {
  if (text.empty()) return {};
  question.layer_count = 0;
  if (text == "none") return {};
  const std::size_t dash = text.find('-');
  const auto first = number_of(std::string_view(text).substr(0, dash));
  const auto last = dash == std::string::npos ? first : number_of(std::string_view(text).substr(dash + 1));
  if (!first || !last || *first > *last || *last >= facts.n_layers()) {
    return Error{Code::invalid, fmt::format("--layers: '{}' are no layers of this model", printable(text)),
                 fmt::format("it has 0-{}; or say none", facts.n_layers() - 1)};
  }
  question.first_layer = *first;
  question.layer_count = *last - *first + 1;
  return {};
}

/// "1.24 B", "135 M".
std::string count_text(std::uint64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.3g} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  return fmt::format("{}", count);
}

std::string tokens_text(std::uint64_t tokens) {
  return tokens >= 1024 && tokens % 1024 == 0 ? fmt::format("{}k", tokens / 1024) : fmt::format("{}", tokens);
}

std::string mix_text(const ModelFacts& facts) {
  std::string text;
  const auto total = static_cast<double>(std::max<std::uint64_t>(1, facts.weights().count));
  for (const model::TypeShare& share : facts.types) {
    const double percent = 100 * static_cast<double>(share.bytes.count) / total;
    if (!text.empty()) text += ", ";
    text += percent < 0.1
                ? fmt::format("{} <0.1 %", share.type)
                : fmt::format("{} {:.1f} % ({:.2f} bits)", share.type, percent, share.bits_per_weight());
  }
  return text;
}

/// "2 heads... " is the architecture's business; what matters is what is kept: kinds of layers with their
/// counts.
std::string attention_text(const ModelFacts& facts) {
  if (facts.layer_facts.empty()) return "unknown: the file does not say enough";
  std::size_t whole = 0;
  std::size_t sliding = 0;
  std::size_t latent = 0;
  std::size_t recurrent = 0;
  std::uint64_t window = 0;
  for (const LayerFacts& layer : facts.layer_facts) {
    if (layer.is_recurrent()) ++recurrent;
    if (!layer.has_attention()) continue;
    if (layer.window > 0) {
      ++sliding;
      window = layer.window;
    } else if (layer.latent_width > 0) {
      ++latent;
    } else {
      ++whole;
    }
  }
  std::vector<std::string> parts;
  if (whole > 0) parts.push_back(fmt::format("{} layers over the whole context", whole));
  if (latent > 0) parts.push_back(fmt::format("{} layers compressed (MLA)", latent));
  if (sliding > 0) parts.push_back(fmt::format("{} layers over the last {} tokens", sliding, window));
  if (recurrent > 0) parts.push_back(fmt::format("{} recurrent layers", recurrent));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string experts_text(const ModelFacts& facts) {
  Bytes bytes;
  for (const LayerFacts& layer : facts.layer_facts) bytes += layer.experts;
  const std::string shared =
      facts.experts_shared > 0 ? fmt::format(" and {} shared", facts.experts_shared) : "";
  return fmt::format("{} of {} used a token{}; they are {} of the weights", facts.experts_used, facts.experts,
                     shared, format_bytes(bytes));
}

/// The same question with another context.
Memory with_context_of(const ModelFacts& facts, MemoryQuestion question, std::uint64_t context) {
  question.context = context;
  return memory_need(facts, question);
}

std::string kv_types_text(const MemoryQuestion& question) {
  const auto keys = name_of(question.key_type);
  const auto values = name_of(question.value_type);
  return keys == values ? std::string(keys) : fmt::format("{}/{}", keys, values);
}

/// The context that is asked for, and some others that people use and the model was trained for.
std::vector<std::uint64_t> contexts(const ModelFacts& facts, const MemoryQuestion& question) {
  std::vector<std::uint64_t> all{question.context};
  for (const std::uint64_t context : {2048U, 8192U, 32768U}) {
    if (facts.context_length == 0 || context <= facts.context_length) all.push_back(context);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Json layer_json(const ModelFacts& facts, std::size_t i, const MemoryQuestion& question) {
  Json json{{"bytes", facts.layers[i].count}, {"active_bytes", facts.active_of_layer(i).count}};
  if (facts.layer_facts.empty()) return json;
  const LayerFacts& layer = facts.layer_facts[i];
  const Bytes kv = model::kv_bytes(question.key_type, layer.key_width) +
                   model::kv_bytes(question.value_type, layer.value_width);
  json["kv_bytes_per_token"] = kv.count;
  json["window"] = layer.window > 0 ? Json(layer.window) : Json();
  json["state_bytes_per_sequence"] = layer.state * sizeof(float);
  json["expert_bytes"] = layer.experts.count;
  return json;
}

Json memory_json(const ModelFacts& facts, const MemoryQuestion& question) {
  const Memory memory = memory_need(facts, question);
  return {{"context", question.context},
          {"parallel", question.parallel},
          {"unified", question.unified},
          {"ubatch", question.ubatch},
          {"key_type", name_of(question.key_type)},
          {"value_type", name_of(question.value_type)},
          {"flash_attention", question.flash_attention},
          {"pipelined", question.pipelined},
          {"first_layer", question.first_layer},
          {"layer_count", question.layer_count},
          {"master", question.is_master},
          {"head", question.has_head},
          {"weights", memory.weights.count},
          {"kv", memory.kv.count},
          {"compute", memory.compute.count},
          {"total", memory.total().count}};
}

std::string memory_text(const ModelFacts& facts, const MemoryQuestion& question) {
  const bool is_whole = question.layer_count == facts.n_layers() && question.is_master && question.has_head;
  std::string text = fmt::format(
      "\nNeeded on {} ({} sequence{}, cache as {}, micro-batches of {}):\n",
      is_whole ? "one device"
               : fmt::format("a device with {} of {} layers", question.layer_count, facts.n_layers()),
      question.parallel, question.parallel == 1 ? "" : "s", kv_types_text(question), question.ubatch);
  for (const std::uint64_t context : contexts(facts, question)) {
    const Memory memory = with_context_of(facts, question, context);
    text += fmt::format("  {:>6} tokens  {:>9} = {} weights + {} context + {} to compute\n",
                        tokens_text(context), format_bytes(memory.total()), format_bytes(memory.weights),
                        format_bytes(memory.kv), format_bytes(memory.compute));
  }
  return text;
}

}  // namespace

Result<MemoryQuestion> question_of(const InfoOptions& options, const ModelFacts& facts) {
  MemoryQuestion question = MemoryQuestion::whole(facts);
  question.context = options.context;
  question.parallel = options.parallel;
  question.ubatch = options.ubatch;
  question.unified = options.unified;
  question.pipelined = options.pipelined;
  question.is_master = !options.is_worker;
  question.has_head = options.has_head;
  question.flash_attention = options.flash_attn == "on";
  const std::size_t comma = options.kv_type.find(',');
  const auto keys = model::kv_type_from_name(options.kv_type.substr(0, comma));
  const auto values =
      comma == std::string::npos ? keys : model::kv_type_from_name(options.kv_type.substr(comma + 1));
  if (!keys || !values) {
    return Error{Code::invalid, fmt::format("--kv-type: '{}' is none", printable(options.kv_type)),
                 "f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0 or iq4_nl; two of them for keys,values"};
  }
  question.key_type = *keys;
  question.value_type = *values;
  if (const auto layers = set_layers(options.layers, facts, question); !layers) return layers.error();
  return question;
}

std::string info_text(const ModelFacts& facts, const MemoryQuestion& question, const std::string& where) {
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<14} {}\n", name, value);
  };
  text += fmt::format("{} ({})\n", facts.name, where);
  line("architecture", fmt::format("{}, {} layers, {} wide, {} tokens in the vocabulary", facts.architecture,
                                   facts.n_layers(), facts.embedding_length, facts.vocabulary));
  line("parameters", count_text(facts.parameters));
  line("size", facts.shards > 1 ? fmt::format("{} in {} files", format_bytes(facts.file_size), facts.shards)
                                : format_bytes(facts.file_size));
  line("quantization", fmt::format("{}, {:.2f} bits a weight", facts.quantization, facts.bits_per_weight()));
  line("", mix_text(facts));
  line("head", fmt::format("{} as {}{}", format_bytes(facts.head), facts.head_type,
                           facts.tied_head ? ", the embedding itself" : ""));
  line("attention", attention_text(facts));
  if (facts.experts > 0) line("experts", experts_text(facts));
  line("reads",
       fmt::format("{} of weights for each token that it writes", format_bytes(facts.active_per_token())));
  line("context", facts.context_length == 0
                      ? std::string("unknown")
                      : fmt::format("trained for {} tokens", tokens_text(facts.context_length)));
  if (!facts.layer_facts.empty()) {
    Bytes token;
    Bytes state;
    for (const LayerFacts& layer : facts.layer_facts) {
      token += model::kv_bytes(question.key_type, layer.key_width) +
               model::kv_bytes(question.value_type, layer.value_width);
      state += Bytes{layer.state * sizeof(float)};
    }
    line("cache",
         fmt::format("{} a token as {}{}", format_bytes(token), kv_types_text(question),
                     state.count > 0 ? fmt::format(", and {} a sequence", format_bytes(state)) : ""));
  }
  return printable(text + memory_text(facts, question));
}

Json info_json(const ModelFacts& facts, const MemoryQuestion& question, const std::string& where) {
  Json types = Json::array();
  for (const model::TypeShare& share : facts.types) {
    types.push_back({{"type", share.type},
                     {"tensors", share.tensors},
                     {"parameters", share.parameters},
                     {"bytes", share.bytes.count},
                     {"bits_per_weight", share.bits_per_weight()}});
  }
  Json layers = Json::array();
  for (std::size_t i = 0; i < facts.n_layers(); ++i) layers.push_back(layer_json(facts, i, question));
  return {
      {"name", facts.name},
      {"where", where},
      {"architecture", facts.architecture},
      {"quantization", facts.quantization},
      {"parameters", facts.parameters},
      {"file_size", facts.file_size.count},
      {"shards", facts.shards},
      {"weights", facts.weights().count},
      {"bits_per_weight", facts.bits_per_weight()},
      {"types", std::move(types)},
      {"context_length", facts.context_length},
      {"embedding_length", facts.embedding_length},
      {"vocabulary", facts.vocabulary},
      {"embedding_bytes", facts.embedding.count},
      {"head_bytes", facts.head.count},
      {"head_type", facts.head_type},
      {"tied_head", facts.tied_head},
      {"other_bytes", facts.other.count},
      {"active_bytes_per_token", facts.active_per_token().count},
      {"experts", {{"count", facts.experts}, {"used", facts.experts_used}, {"shared", facts.experts_shared}}},
      {"layers", std::move(layers)},
      {"memory", memory_json(facts, question)}};
}

}  // namespace caravan::cli
