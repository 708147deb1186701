#include "cli/demo_report.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "base/files.h"
#include "base/text.h"

namespace caravan::cli {
namespace {

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

std::string layers_of(const plan::Share& share) {
  if (share.layer_count == 0) return "none";
  return fmt::format("{}-{} ({})", share.first_layer, share.first_layer + share.layer_count - 1,
                     share.layer_count);
}

std::string bar(double fraction) {
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  return fmt::format("[{}{}] {:3.0f}%", std::string(static_cast<std::size_t>(filled), '#'),
                     std::string(static_cast<std::size_t>(kWidth - filled), '.'),
                     std::clamp(fraction, 0.0, 1.0) * 100);
}

Json to_json(const plan::Share& share) {
  return {{"device", share.device},
          {"rank", share.rank},
          {"role", share.rank == 0 ? "master" : "worker"},
          {"first_layer", share.first_layer},
          {"layer_count", share.layer_count},
          {"weights", share.weights.count},
          {"kv_cache", share.kv_cache.count},
          {"overhead", share.overhead.count},
          {"budget", share.budget.count},
          {"reason", share.reason}};
}

Json to_json(const std::vector<cluster::Traffic>& traffic) {
  Json list = Json::array();
  for (const cluster::Traffic& entry : traffic) {
    list.push_back(
        {{"device", entry.device}, {"sent", entry.sent.count}, {"received", entry.received.count}});
  }
  return list;
}

Bytes sum_of(const std::vector<cluster::Traffic>& traffic) {
  Bytes sum;
  for (const cluster::Traffic& entry : traffic) sum += entry.sent + entry.received;
  return sum;
}

}  // namespace

DemoReport::DemoReport(bool json) : json_(json) {}

void DemoReport::event(std::string_view name, Json facts) {
  if (!json_) return;
  facts["event"] = name;
  facts["at"] = std::chrono::duration<double>(Clock::now() - begin_).count();
  say(dump_json(facts));
}

void DemoReport::begin(std::size_t n_devices) {
  if (json_) return event("begin", {{"devices", n_devices}});
  say(fmt::format("caravan demo: {} on this machine share{} one model\n",
                  n_devices == 1 ? "one device" : fmt::format("{} devices", n_devices),
                  n_devices == 1 ? "s" : ""));
}

void DemoReport::step(std::string_view name, const std::string& text, Json facts) {
  progress_.clear();
  const TimePoint now = Clock::now();
  const auto took = std::chrono::duration<double>(now - std::exchange(last_step_, now));
  facts["seconds"] = took.count();
  if (json_) return event(name, std::move(facts));
  say(fmt::format("  {:<9} {:<62} {:>7}", name, printable(text), format_duration(took)));
}

void DemoReport::progress(std::string_view name, double fraction, const std::string& text) {
  if (json_) return event(name, {{"progress", fraction}, {"text", text}});
  progress_.update(fmt::format("  {:<9} {}  {}", name, bar(fraction), text));
}

void DemoReport::transfer(const model::Progress& progress) {
  const double total = static_cast<double>(progress.total.value_or(Bytes{0}).count);
  std::string text = fmt::format("{} {}", name_of(progress.phase), format_bytes(progress.done));
  if (progress.total) text += " of " + format_bytes(*progress.total);
  if (progress.bytes_per_second > 0) {
    text += fmt::format("  {}/s", format_bytes(Bytes{static_cast<std::uint64_t>(progress.bytes_per_second)}));
  }
  if (progress.remaining) text += fmt::format("  {} left", format_duration(*progress.remaining));
  this->progress("model", total > 0 ? static_cast<double>(progress.done.count) / total : 0, text);
}

void DemoReport::plan(const model::ModelFacts& model, const plan::Plan& plan) {
  if (json_) {
    Json shares = Json::array();
    for (const plan::Share& share : plan.shares) shares.push_back(to_json(share));
    Json left_out = Json::array();
    for (const plan::LeftOut& out : plan.left_out)
      left_out.push_back({{"device", out.device}, {"reason", out.reason}});
    return event("plan", {{"layers", model.n_layers()},
                          {"context", plan.context},
                          {"fits_on_master", plan.fits_on_master},
                          {"shares", shares},
                          {"left_out", left_out}});
  }
  say(fmt::format("\n  {:<10} {:>4}  {:<7} {:<11} {:>9} {:>9} {:>9}   {}", "device", "rank", "role", "layers",
                  "weights", "KV cache", "engine", "of its budget"));
  for (const plan::Share& share : plan.shares) {
    say(fmt::format("  {:<10} {:>4}  {:<7} {:<11} {:>9} {:>9} {:>9}   {} of {}", share.device, share.rank,
                    share.rank == 0 ? "master" : "worker", layers_of(share), format_bytes(share.weights),
                    format_bytes(share.kv_cache), format_bytes(share.overhead), format_bytes(share.total()),
                    format_bytes(share.budget)));
  }
  for (const plan::LeftOut& out : plan.left_out)
    say(fmt::format("  {:<10} left out: {}", out.device, out.reason));
  if (plan.fits_on_master && plan.shares.size() > 1) {
    say(fmt::format("  {} could carry this model alone, and faster: it is split here to show how.",
                    plan.shares[0].device));
  }
  say("");
}

void DemoReport::question(const std::string& prompt) {
  if (json_) return event("question", {{"prompt", prompt}});
  say(fmt::format("\n  you       {}", printable(prompt)));
  fmt::print("  answer    ");
  std::fflush(stdout);
  in_answer_ = true;
}

void DemoReport::text(std::string_view piece) {
  if (json_) return event("text", {{"text", piece}});
  for (const char c : printable(piece)) {
    if (c == '\n') {
      fmt::print("\n            ");
    } else {
      fmt::print("{}", c);
    }
  }
  std::fflush(stdout);
}

void DemoReport::end_answer_line() {
  progress_.clear();
  if (!json_ && std::exchange(in_answer_, false)) say("");
}

void DemoReport::result(const ChatResult& chat, const std::vector<cluster::Traffic>& loaded,
                        const std::vector<cluster::Traffic>& answered) {
  if (json_) {
    return event("result", {{"text", chat.text},
                            {"finish_reason", chat.finish_reason},
                            {"prompt_tokens", chat.prompt_tokens},
                            {"completion_tokens", chat.completion_tokens},
                            {"prompt_tokens_per_second", chat.prompt_tokens_per_second},
                            {"tokens_per_second", chat.tokens_per_second},
                            {"first_token_seconds", chat.first_token.count()},
                            {"total_seconds", chat.total.count()},
                            {"traffic_loading", to_json(loaded)},
                            {"traffic", to_json(answered)}});
  }
  end_answer_line();
  say(fmt::format("\n  prompt      {:>5} tokens  {:>6.1f} tokens/s   first token after {:.2f} s",
                  chat.prompt_tokens, chat.prompt_tokens_per_second, chat.first_token.count()));
  say(fmt::format("  generation  {:>5} tokens  {:>6.1f} tokens/s", chat.completion_tokens,
                  chat.tokens_per_second));
  if (answered.empty()) return;
  for (const cluster::Traffic& entry : answered) {
    say(fmt::format("  crossed     master -> {:<10} {:>9},  back {:>9}", entry.device,
                    format_bytes(entry.sent), format_bytes(entry.received)));
  }
  const Bytes all = sum_of(answered);
  const Bytes loading = sum_of(loaded);
  say(fmt::format("              {} to load the model, {} for question and answer", format_bytes(loading),
                  format_bytes(Bytes{all.count - std::min(all.count, loading.count)})));
}

void DemoReport::keep(const std::string& api, const std::string& model) {
  if (json_) return event("keep", {{"api", api}, {"model", model}});
  say(fmt::format("\nThe API stays up until Ctrl-C. Paste into another terminal:\n"));
  say(fmt::format(
      "  curl {}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
      "    -d '{{\"model\": \"{}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'\n",
      api, model));
}

void DemoReport::fallback(const std::string& reason) {
  progress_.clear();
  if (json_) return event("fallback", {{"data_path", "rpc"}, {"reason", reason}});
  say(fmt::format("  {:<9} through llama.cpp's RPC, not through the fabric: {}", "note", printable(reason)));
}

void DemoReport::ended(bool failed, bool keeps_weights) {
  end_answer_line();
  const double total = std::chrono::duration<double>(Clock::now() - begin_).count();
  if (json_) return event("ended", {{"failed", failed}, {"seconds", total}});
  if (failed) return;
  say(fmt::format(
      "\nDone in {}; no process, port or file is left behind{}.", format_duration(Clock::now() - begin_),
      keeps_weights
          ? fmt::format(", except weights for the next start ({})", (caravan_home() / "weights").string())
          : ""));
}

void DemoReport::error(const Error& error) {
  end_answer_line();
  if (json_) return event("error", {{"error", caravan::to_json(error)}});
  print_error(error);
}

}  // namespace caravan::cli
