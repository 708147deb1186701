// caravan-worker: see --help and docs/fabric-protocol.md.
#include <csignal>
#include <iostream>
#include <string>
#include <vector>

#include <ggml-backend.h>

#include "base/files.h"
#include "fabric/worker/options.h"
#include "fabric/worker/server.h"

namespace {

using caravan::Error;
using caravan::Result;
using namespace caravan::fabric::worker;

int fail(const Error& error) {
  std::cerr << "error: " << error.message << '\n';
  if (!error.hint.empty()) std::cerr << "  fix: " << error.hint << '\n';
  return caravan::exit_code_of(error.code);
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
  NoWeights weights;
  Server server({*key, engine_build()}, options.settings, weights,
                [](const std::string& line) { std::cerr << "caravan-worker: " << line << std::endl; });
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
