// caravan-worker: see --help and docs/fabric-protocol.md.
#include <atomic>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <ggml-backend.h>

#include "base/files.h"
#include "fabric/worker/options.h"
#include "fabric/worker/server.h"
#include "fabric/worker/stored_weights.h"

namespace {

using caravan::Error;
using caravan::Result;
using namespace caravan::fabric;
using namespace caravan::fabric::worker;

int fail(const Error& error) {
  std::cerr << "error: " << error.message << '\n';
  if (!error.hint.empty()) std::cerr << "  fix: " << error.hint << '\n';
  return caravan::exit_code_of(error.code);
}

void say(const std::string& line) { std::cerr << "caravan-worker: " << line << std::endl; }

/// Hashes the device's own models, in its own time: what is not hashed yet is sent.
class ModelReader {
 public:
  ModelReader(LocalSource& into, std::vector<std::string> models)
      : thread_([this, &into, models = std::move(models)] { read(into, models); }) {}
  ~ModelReader() {
    cancelled_ = true;
    thread_.join();
  }

 private:
  void read(LocalSource& into, const std::vector<std::string>& models) {
    const ManifestCache cache(caravan::cache_folder() / "manifests");
    HashingControl control;
    control.is_cancelled = [this] { return cancelled_.load(); };
    for (const std::string& model : models) {
      const auto added = into.add(model, cache, control);
      if (!added && !cancelled_) say(model + " is not used: " + added.error().message);
    }
  }

  std::atomic<bool> cancelled_{false};
  std::thread thread_;
};

/// What there is of weights on this device.
Result<std::unique_ptr<Weights>> open_weights(const Options& options, std::shared_ptr<LocalSource> local) {
  if (options.store.empty())
    return std::make_unique<Weights>(std::move(local),
                                     Error{caravan::Code::unavailable, "there is no store", "give --store"});
  StoreLimits limits;
  if (options.store_limit != 0) limits.limit = caravan::Bytes{options.store_limit};
  auto store = TensorStore::open(options.store, limits);
  if (!store) return caravan::with_context(store.error(), "the store");
  return std::make_unique<Weights>(std::move(local), std::move(*store));
}

/// SIGINT and SIGTERM, blocked in this thread and those that it starts, so that they wait for sigwait.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// ggml's own lines: only what is wrong.
void log_of_ggml(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN) std::cerr << text << std::flush;
}

Result<void> run(const Options& options) {
  ggml_log_set(&log_of_ggml, nullptr);
  const auto key = read_key(options, caravan::environment("CARAVAN_FABRIC_KEY"));
  if (!key) return key.error();
  if (ggml_backend_dev_count() == 0)
    return Error{caravan::Code::unavailable, "ggml found no device here",
                 "build the engine anew: ./run build"};
  const sigset_t signals = block_signals();
  const auto local = std::make_shared<LocalSource>();
  const auto all = open_weights(options, local);
  if (!all) return all.error();
  StoredWeights weights(**all);
  const ModelReader models(*local, options.models);
  Server server({*key, engine_build()}, options.settings, weights, &say);
  for (const std::string& address : options.listen) {
    auto listener = Listener::open(address, options.settings.addresses);
    if (!listener) return listener.error();
    const std::string bound = listener->address();
    server.serve(std::move(*listener));
    std::cout << "listening " << bound << std::endl;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  server.stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse_options({argv + 1, argv + argc});
  if (!options) return fail(options.error());
  if (options->help) {
    std::cout << help_text();
    return 0;
  }
  const auto done = run(*options);
  return done ? 0 : fail(done.error());
}
