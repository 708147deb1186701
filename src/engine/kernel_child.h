// Measures an engine's kernels in a child process, so that an engine that crashes or hangs takes nobody with
// it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "engine/kernels.h"
#include "engine/locate.h"

namespace caravan::engine {

namespace asio = boost::asio;

/// The child's first argument; the rest is kernel_arguments().
inline constexpr const char* kKernelCommand = "kernel-bench";
/// How a task is handed to the child, and read there.
std::vector<std::string> kernel_arguments(const KernelTask& task);

struct KernelReport {
  KernelsLoaded loaded;
  std::vector<Measurement> measurements;
  std::vector<KernelSkipped> skipped;
};

/// Starts `program` (this one) as `program kernel-bench ...` and collects what it says; `on_line` sees each
/// line as it comes. Waits at most twice the task's budget and some seconds. Errors: the child's own;
/// Code::incompatible with the signal and its last words when it died; Code::unavailable when it did not end
/// in time.
asio::awaitable<Result<KernelReport>> run_kernel_child(asio::any_io_executor executor, fs::path program,
                                                       EngineFiles files, KernelTask task,
                                                       std::function<void(const KernelLine&)> on_line);

}  // namespace caravan::engine
