// caravan-worker: see --help and docs/fabric-protocol.md.
#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <ggml-backend.h>

#include "base/files.h"
#include "fabric/ops/engine.h"
#include "fabric/store/store_limit.h"
#include "fabric/worker/model_reader.h"
#include "fabric/worker/options.h"
#include "fabric/worker/server.h"
#include "fabric/worker/stored_weights.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

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

/// So long it waits for models to be hashed before it serves.
constexpr std::chrono::seconds kModelsFirst{5};

/// Beside the store, which is what they are for too.
caravan::fs::path manifests_of(const Options& options) {
  return (options.store.empty() ? caravan::cache_folder() : caravan::fs::path(options.store)) / "manifests";
}

/// What there is of weights on this device.
Result<std::unique_ptr<Weights>> open_weights(const Options& options, std::shared_ptr<LocalSource> local) {
  if (options.store.empty())
    return std::make_unique<Weights>(std::move(local),
                                     Error{caravan::Code::unavailable, "there is no store", "give --store"});
  StoreLimits limits;
  const auto share = fair_share(options.store);
  if (!share) return caravan::with_context(share.error(), "the store");
  limits.limit = options.store_limit != 0 ? caravan::Bytes{options.store_limit} : *share;
  auto store = TensorStore::open(options.store, limits);
  if (!store) return caravan::with_context(store.error(), "the store");
  return std::make_unique<Weights>(std::move(local), std::move(*store));
}

/// What a master's frames and weights went through goes back to the system. glibc keeps it for each thread
/// that there was; other systems' allocators give it back by themselves. For the whole process, so it is the
/// program's to do: glibc must not be asked by two threads at a time where another allocator stands before
/// its own (a sanitizer's), for then both prepare it.
void return_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
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
  ModelReader models(*local, ggufs_of({options.models.begin(), options.models.end()}), manifests_of(options),
                     &say);
  models.wait(kModelsFirst);
  Server server({*key, engine_build()}, options.settings, weights, &say);
  server.after_each_master(&return_memory);
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
