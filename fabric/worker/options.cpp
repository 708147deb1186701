#include "fabric/worker/options.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include <fmt/format.h>

#include "base/files.h"
#include "base/text.h"
#include "fabric/wire/proof.h"

namespace caravan::fabric::worker {
namespace {

constexpr std::uint64_t kKeyFileBytes = 256;

Result<std::uint64_t> whole_number(const std::string& option, const std::string& text, std::uint64_t least,
                                   std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= least && value <= most)
    return value;
  return Error{Code::invalid,
               fmt::format("{} {}: not a whole number from {} to {}", option, printable(text), least, most),
               "see --help"};
}

Result<void> take(Options& options, const std::string& name, const std::string& value) {
  if (name == "--listen" || name == "--peer-listen") {
    options.listen.push_back(value);
    return {};
  }
  if (name == "--key-file") {
    options.key_file = value;
    return {};
  }
  if (name == "--store") {
    options.store = value;
    return {};
  }
  if (name == "--model") {
    options.models.push_back(value);
    return {};
  }
  if (name == "--store-limit") {
    const auto mebibytes = whole_number(name, value, 1, kMaxBufferBytes >> 20U);
    if (!mebibytes) return mebibytes.error();
    options.store_limit = *mebibytes << 20U;
    return {};
  }
  if (name == "--threads") {
    const auto threads = whole_number(name, value, 1, kMaxThreads);
    if (!threads) return threads.error();
    options.settings.threads = static_cast<std::uint32_t>(*threads);
    options.settings.most_threads = std::max(options.settings.most_threads, options.settings.threads);
    return {};
  }
  if (name == "--memory") {
    const auto mebibytes = whole_number(name, value, 1, kMaxBufferBytes >> 20U);
    if (!mebibytes) return mebibytes.error();
    options.settings.memory_limit = *mebibytes << 20U;
    return {};
  }
  const auto seconds = whole_number(name, value, 1, 3600);
  if (!seconds) return seconds.error();
  options.settings.hand_off_time = std::chrono::seconds(*seconds);
  return {};
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  static const std::vector<std::string> known{"--listen",  "--peer-listen", "--key-file",
                                              "--threads", "--memory",      "--hand-off-timeout",
                                              "--store",   "--store-limit", "--model"};
  Options options;
  options.settings.most_threads = std::clamp(std::thread::hardware_concurrency(), 1U, kMaxThreads);
  options.settings.threads = options.settings.most_threads;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "--help" || name == "-h") {
      options.help = true;
      return options;
    }
    if (name == "--any-address") {
      options.settings.addresses = Addresses::any;
      continue;
    }
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string meant = closest_match(name, known);
      return Error{Code::invalid, fmt::format("{} is no option", printable(name)),
                   meant.empty() ? "see --help" : fmt::format("did you mean {}?", meant)};
    }
    if (i + 1 == arguments.size())
      return Error{Code::invalid, fmt::format("{} needs a value", name), "see --help"};
    if (const auto taken = take(options, name, arguments[++i]); !taken) return taken.error();
  }
  if (options.listen.empty())
    return Error{Code::invalid, "there is no address to listen at", "give one: --listen 127.0.0.1:0"};
  return options;
}

std::string help_text() {
  return R"(caravan-worker: carries a stage of a model for one master at a time

usage: caravan-worker --listen HOST:PORT [--key-file FILE] [options]

  --listen HOST:PORT        where the master (and peers) connect; port 0 lets the system choose. May be given again
  --peer-listen HOST:PORT   another address, for the workers that hand results to this one
  --key-file FILE           the plan's key, 64 hexadecimal digits; without it CARAVAN_FABRIC_KEY is read
  --threads N               computing threads when the master does not say (all cores)
  --memory MIB              most memory for weights, contexts and results together, in MiB (all that the device has)
  --model FILE              a GGUF file of this device: its weights are not sent. May be given again
  --store FOLDER            where weights that were sent are kept for the next start; several workers may share it
  --store-limit MIB         most that the store takes; what was not used the longest goes first (8192)
  --hand-off-timeout S      how long to wait for what a peer hands over, in seconds (30)
  --any-address             take addresses of networks too: for a lab without tunnels, nothing is encrypted
  --help                    this text

It prints one line "listening HOST:PORT" for each address once it is ready, and serves until SIGINT or SIGTERM.

examples:
  openssl rand -hex 32 > plan.key && chmod 600 plan.key
  caravan-worker --listen 127.0.0.1:0 --key-file plan.key --threads 2 --store ~/.cache/caravan/weights
  CARAVAN_FABRIC_KEY=$(cat plan.key) caravan-worker --listen 127.0.0.1:50061
)";
}

Result<Key> read_key(const Options& options, const std::optional<std::string>& environment) {
  if (!options.key_file.empty()) {
    const auto text = read_file(options.key_file, Bytes{kKeyFileBytes});
    if (!text) return with_context(text.error(), "the plan's key");
    return parse_key(*text);
  }
  if (environment) return parse_key(*environment);
  return Error{Code::invalid, "there is no key", "give --key-file FILE, or set CARAVAN_FABRIC_KEY"};
}

}  // namespace caravan::fabric::worker
