// How surprised a model is by a text, token by token: by llama.cpp's own library, here or on the devices of
// the fabric's module (GGML_BACKEND_PATH, CARAVAN_FABRIC_PLAN). lab/bench_wire.py compares what comes out.
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <ggml-backend.h>

#include "base/files.h"
#include "base/json.h"

namespace {

using namespace caravan;

struct Arguments {
  std::string model;
  std::string text;
  std::vector<std::string> devices;
  std::vector<float> split;
  int tokens = 4096;
  int context = 512;
  int micro_batch = 64;
};

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "error: {}\n", why);
  std::exit(1);
}

void log(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) fmt::print(stderr, "{}", text);
}

/// Ends with a null, as llama.cpp wants it; none: all is computed here.
std::vector<ggml_backend_dev_t> devices_of(const Arguments& arguments) {
  std::vector<ggml_backend_dev_t> devices;
  devices.reserve(arguments.devices.size() + 1);
  for (const std::string& name : arguments.devices) {
    devices.push_back(ggml_backend_dev_by_name(name.c_str()));
    if (devices.back() == nullptr) stop("there is no device " + name);
  }
  devices.push_back(nullptr);
  return devices;
}

std::vector<llama_token> tokens_of(const llama_vocab* vocabulary, const Arguments& arguments) {
  const auto text = read_file(arguments.text, mebibytes(16));
  if (!text) stop(text.error().message);
  std::vector<llama_token> tokens(text->size());
  const int count = llama_tokenize(vocabulary, text->data(), static_cast<int>(text->size()), tokens.data(),
                                   static_cast<int>(tokens.size()), false, false);
  if (count < arguments.context) stop("the text is shorter than the context");
  tokens.resize(static_cast<std::size_t>(std::min(count, arguments.tokens)));
  return tokens;
}

struct Scores {
  std::vector<double> surprise;  ///< minus the natural logarithm of the probability of each scored token
  std::vector<int> guesses;      ///< what was most likely in its place
};

void score(const float* logits, int vocabulary, llama_token right, Scores& scores) {
  const float* const best = std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (int i = 0; i < vocabulary; ++i) sum += std::exp(static_cast<double>(logits[i]) - *best);
  scores.surprise.push_back(std::log(sum) + *best - logits[right]);
  scores.guesses.push_back(static_cast<int>(best - logits));
}

/// One piece of the text by itself. Its second half is scored: each of those tokens has much before it.
void score_piece(llama_context* context, const llama_vocab* vocabulary, const llama_token* tokens, int count,
                 Scores& scores) {
  llama_memory_clear(llama_get_memory(context), true);
  llama_batch batch = llama_batch_init(count, 0, 1);
  batch.n_tokens = count;
  for (int i = 0; i < count; ++i) {
    batch.token[i] = i == 0 && llama_vocab_get_add_bos(vocabulary) ? llama_vocab_bos(vocabulary) : tokens[i];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = static_cast<std::int8_t>(i >= count / 2 - 1 && i < count - 1);
  }
  if (llama_decode(context, batch) != 0) stop("llama.cpp cannot compute this");
  for (int i = count / 2 - 1; i < count - 1; ++i)
    score(llama_get_logits_ith(context, i), llama_vocab_n_tokens(vocabulary), tokens[i + 1], scores);
  llama_batch_free(batch);
}

Scores measure(const Arguments& arguments) {
  auto devices = devices_of(arguments);
  std::vector<float> split(llama_max_devices(), 0.0F);
  std::copy_n(arguments.split.begin(), std::min(split.size(), arguments.split.size()), split.begin());
  llama_model_params how = llama_model_default_params();
  how.devices = devices.data();
  how.tensor_split = split.data();
  how.n_gpu_layers = arguments.devices.empty() ? 0 : 99;
  llama_model* const model = llama_model_load_from_file(arguments.model.c_str(), how);
  if (model == nullptr) stop("llama.cpp cannot load " + arguments.model);
  llama_context_params shape = llama_context_default_params();
  shape.n_ctx = static_cast<std::uint32_t>(arguments.context);
  shape.n_batch = shape.n_ctx;
  shape.n_ubatch = static_cast<std::uint32_t>(arguments.micro_batch);
  shape.n_threads = shape.n_threads_batch = 1;
  llama_context* const context = llama_init_from_model(model, shape);
  if (context == nullptr) stop("llama.cpp cannot make a context");
  const llama_vocab* const vocabulary = llama_model_get_vocab(model);
  const auto tokens = tokens_of(vocabulary, arguments);
  Scores scores;
  for (std::size_t at = 0; at + shape.n_ctx <= tokens.size(); at += shape.n_ctx)
    score_piece(context, vocabulary, tokens.data() + at, arguments.context, scores);
  llama_free(context);
  llama_model_free(model);
  return scores;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Prints as JSON how surprised a model is by each token of a text.");
  app.add_option("--model", arguments.model, "GGUF file")->required();
  app.add_option("--text", arguments.text, "Text file")->required();
  app.add_option("--devices", arguments.devices, "ggml devices; none: here")->delimiter(',');
  app.add_option("--split", arguments.split, "Layers of each device; the last one has one more")
      ->delimiter(',');
  app.add_option("--tokens", arguments.tokens, "Of the text, at most")->check(CLI::Range(64, 1 << 20));
  app.add_option("--context", arguments.context, "Tokens of each piece")->check(CLI::Range(64, 1 << 14));
  app.add_option("--micro-batch", arguments.micro_batch, "Tokens computed at once")
      ->check(CLI::Range(1, 1 << 14));
  CLI11_PARSE(app, argc, argv);
  llama_log_set(&log, nullptr);
  ggml_backend_load_all();
  const Scores scores = measure(arguments);
  fmt::print("{}\n", dump_json({{"surprise", scores.surprise}, {"guesses", scores.guesses}}));
  return 0;
}
