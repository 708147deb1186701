#include "engine/kernels.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "engine/kernel_bench.h"

namespace caravan::engine {
namespace {

using Seconds = std::chrono::duration<double>;

/// In the order of how many models need them: Q4_K_M is Q4_K with some Q6_K, and Q8_0 is the head of many.
/// Q5_0 and Q4_1 are what becomes of it in models whose rows are no multiple of 256.
constexpr std::array kTypes{GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_F16,
                            GGML_TYPE_Q5_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_K, GGML_TYPE_Q3_K, GGML_TYPE_Q2_K};
constexpr std::size_t kQuickTypes = 5;
constexpr int kManyColumns = 512;    ///< the engine's micro-batch
constexpr int kSomeColumns = 64;     ///< the micro-batch that overlaps between workers
constexpr double kTimedPart = 0.55;  ///< of the budget; the rest goes into making matrices and warming up
constexpr double kLongSlices = 8;    ///< a single pass of many columns may take that many
constexpr Seconds kLongestSlice{0.12};

/// What a measurement may take, when about every second type has a special layout.
Seconds slice_of(const KernelTask& task, std::size_t types) {
  const double per_thread_count = 5 + static_cast<double>(types) * 1.5 * 3;
  const double measurements = per_thread_count * static_cast<double>(task.threads.size());
  return std::min(kLongestSlice, kTimedPart * task.budget / measurements);
}

class Schedule {
 public:
  Schedule(KernelBackend& backend, const KernelTask& task,
           const std::function<void(const KernelLine&)>& on_line)
      : backend_(backend),
        task_(task),
        on_line_(on_line),
        types_(kTypes.data(), task.quick ? kQuickTypes : kTypes.size()),
        slice_(slice_of(task, types_.size())),
        end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(task.budget)) {}

  Result<void> run() {
    if (auto done = measure_common(); !done) return done.error();
    for (const ggml_type type : types_) {
      if (auto done = measure_type(type); !done) return done.error();
    }
    on_line_(KernelsDone{});
    return {};
  }

 private:
  Setting setting(int threads, int columns) const { return {threads, columns, slice_}; }

  Result<void> tell(const Result<Measurement>& measured) {
    if (!measured) return measured.error();
    on_line_(*measured);
    return {};
  }

  Result<void> measure_common() {
    for (const int threads : task_.threads) {
      if (auto done = tell(measure_memory(task_.pool, setting(threads, 1))); !done) return done.error();
      for (const int columns : {1, kManyColumns}) {
        if (auto done = tell(measure_elements(backend_, setting(threads, columns))); !done)
          return done.error();
        if (auto done = tell(measure_attention(backend_, setting(threads, columns))); !done)
          return done.error();
      }
    }
    return {};
  }

  Result<void> measure_type(ggml_type type) {
    if (auto done = measure_layout(type, backend_.plain_buffers()); !done) return done.error();
    if (ggml_backend_buffer_type_t special = special_layout(backend_, type))
      return measure_layout(type, special);
    skip(type, "special", kNoSpecialLayout);
    return {};
  }

  Result<void> measure_layout(ggml_type type, ggml_backend_buffer_type_t buffers) {
    const TimePoint begun = Clock::now();
    const bool plain = buffers == backend_.plain_buffers();
    if (begun + longest_ > end_ && type != types_.front()) {  // without that one nothing can be estimated
      skip(type, plain ? std::string(kPlainLayout) : backend_.call().backend_buft_name(buffers),
           "no time was left");
      return {};
    }
    const auto weights = Weights::make(backend_, type, buffers, task_.pool);
    if (!weights) return weights.error();
    on_line_(weights->stored);
    for (const int threads : task_.threads) {
      if (auto done = tell(measure_weights(backend_, *weights, setting(threads, 1))); !done)
        return done.error();
      const auto some = measure_weights(backend_, *weights, setting(threads, kSomeColumns));
      if (auto done = tell(some); !done) return done.error();
      if (!affordable(*some)) continue;
      if (auto done = tell(measure_weights(backend_, *weights, setting(threads, kManyColumns))); !done)
        return done.error();
    }
    longest_ = std::max(longest_, Clock::now() - begun);
    return {};
  }

  /// Whether a pass of many columns, at the rate of some, is short enough.
  bool affordable(const Measurement& some) const {
    const double work = multiply_adds_of_a_pass(kManyColumns);
    return work / some.rate < kLongSlices * slice_.count();
  }

  void skip(ggml_type type, std::string layout, std::string reason) {
    on_line_(KernelSkipped{backend_.call().type_name(type), std::move(layout), std::move(reason)});
  }

  KernelBackend& backend_;
  const KernelTask& task_;
  const std::function<void(const KernelLine&)>& on_line_;
  std::span<const ggml_type> types_;
  Seconds slice_;
  TimePoint end_;
  Clock::duration longest_{};  ///< that one layout of one type took
};

}  // namespace

Result<void> measure_kernels(const KernelTask& task, const std::function<void(const KernelLine&)>& on_line) {
  const auto files = find_ggml(task.programs);
  if (!files) return files.error();
  const auto library = load_ggml(*files);
  if (!library) return library.error();
  on_line(KernelsLoaded{library->version, library->file});
  const auto backend = KernelBackend::make(*library);
  if (!backend) return backend.error();
  return Schedule(**backend, task, on_line).run();
}

}  // namespace caravan::engine
