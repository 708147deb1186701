#include "engine/ggml_library.h"

#include <dlfcn.h>

#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::engine {
namespace {

constexpr const char* kCure =
    "`./run build` makes an engine that fits; it is used unless --engine or CARAVAN_ENGINE names another";

/// A library that stays loaded: kernels keep threads of their own, which unloading would pull the code away
/// from.
class Library {
 public:
  static Result<Library> open(const fs::path& path) {
    void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return Library(handle, path);
    const char* cause = ::dlerror();
    return Error{
        Code::incompatible,
        fmt::format("cannot load {}: {}", for_people(path), printable(cause == nullptr ? "" : cause)), kCure};
  }

  template <typename Function>
  Function find(const std::string& name) const {
    return reinterpret_cast<Function>(::dlsym(handle_, name.c_str()));
  }
  const fs::path& path() const { return path_; }

 private:
  Library(void* handle, fs::path path) : handle_(handle), path_(std::move(path)) {}
  void* handle_;
  fs::path path_;
};

Error lacks(const fs::path& path, const std::string& function) {
  return Error{Code::incompatible, fmt::format("{} has no function {}", for_people(path), function), kCure};
}

/// Looks functions up, and remembers the first that is missing.
class Lookup {
 public:
  explicit Lookup(const Library& library) : library_(&library) {}

  template <typename Function>
  void operator()(Function& into, const std::string& name) {
    into = library_->find<Function>(name);
    if (into == nullptr && missing_.empty()) missing_ = name;
  }
  const std::string& missing() const { return missing_; }

 private:
  const Library* library_;
  std::string missing_;
};

Result<void> find_functions(const Library& base, GgmlFunctions& call) {
  Lookup find(base);
#define CARAVAN_FIND(name) find(call.name, "ggml_" #name);
  CARAVAN_GGML_FUNCTIONS(CARAVAN_FIND)
#undef CARAVAN_FIND
  if (!find.missing().empty()) return lacks(base.path(), find.missing());
  return {};
}

/// What the processor's library offers beside the functions of every backend, under the names that the
/// engine's own programs ask for (ggml-cpu.cpp, ggml_backend_cpu_get_proc_address).
Result<void> find_cpu_functions(const Library& library, ggml_backend_reg_t registry, GgmlFunctions& call) {
  std::string missing;
  const auto find = [&](auto& into, const char* name, bool required) {
    using Function = std::remove_reference_t<decltype(into)>;
    into = reinterpret_cast<Function>(call.backend_reg_get_proc_address(registry, name));
    if (into == nullptr && required && missing.empty()) missing = name;
  };
  find(call.set_n_threads, "ggml_backend_set_n_threads", true);
  find(call.get_extra_bufts, "ggml_backend_dev_get_extra_bufts", false);
  find(call.threadpool_new, "ggml_threadpool_new", true);
  find(call.threadpool_free, "ggml_threadpool_free", true);
  find(call.set_threadpool, "ggml_backend_cpu_set_threadpool", true);
  if (!missing.empty()) return lacks(library.path(), missing);
  return {};
}

/// The variant that says it fits this processor best; the engine's loader asks them the same
/// (ggml-backend-reg.cpp).
Result<Library> best_variant(const std::vector<fs::path>& variants) {
  std::optional<Library> best;
  std::optional<Error> refused;
  int best_score = 0;
  for (const fs::path& path : variants) {
    auto library = Library::open(path);
    if (!library) {
      if (!refused) refused = library.error();
      continue;
    }
    const auto score_of = library->find<int (*)()>("ggml_backend_score");
    const int score = score_of == nullptr ? 1 : score_of();
    if (score <= best_score) continue;
    best_score = score;
    best = std::move(*library);
  }
  if (best) return *best;
  if (refused) return *refused;
  return Error{Code::incompatible, "none of the engine's processor libraries is made for this processor",
               kCure};
}

}  // namespace

Result<GgmlLibrary> load_ggml(const GgmlFiles& files) {
  const auto base = Library::open(files.base);  // first: the other needs it, and finds it loaded
  if (!base) return base.error();
  GgmlLibrary loaded;
  if (const auto found = find_functions(*base, loaded.call); !found) return found.error();
  loaded.call.log_set([](ggml_log_level, const char*, void*) {}, nullptr);  // it tells of each matrix
  loaded.version = loaded.call.version();
  if (loaded.version != ::ggml_version()) {
    return Error{Code::incompatible,
                 fmt::format("the engine has ggml {}, this program was built for ggml {}",
                             printable(loaded.version), ::ggml_version()),
                 kCure};
  }
  const auto library = best_variant(files.cpu);
  if (!library) return library.error();
  using MakeRegistry = ggml_backend_reg_t (*)();
  auto make_registry =
      library->find<MakeRegistry>("ggml_backend_init");  // of a library that is loaded on demand
  if (make_registry == nullptr) make_registry = library->find<MakeRegistry>("ggml_backend_cpu_reg");
  if (make_registry == nullptr) return lacks(library->path(), "ggml_backend_cpu_reg");
  ggml_backend_reg_t registry = make_registry();
  if (const auto found = find_cpu_functions(*library, registry, loaded.call); !found) return found.error();
  loaded.cpu = loaded.call.backend_reg_dev_get(registry, 0);
  loaded.file = library->path().filename().string();
  return loaded;
}

}  // namespace caravan::engine
