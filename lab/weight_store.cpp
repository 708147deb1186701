// What the store of weights costs on a device, with a real model: hashing the file, storing all of its
// tensors, making that last, and taking them back, proven, at the next start. docs/decisions/0014 has
// figures.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <ggml.h>

#include "fabric/store/local_source.h"
#include "fabric/store/packing.h"
#include "fabric/store/tensor_store.h"

namespace {

using namespace caravan;
using namespace caravan::fabric;

/// What it does with all tensors, and how long that takes. The first error ends the program.
void time(const char* what, std::uint64_t bytes, std::size_t tensors, const std::function<void()>& task) {
  const auto start = Clock::now();
  task();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  fmt::print("{:<44} {:9.1f} ms {:8.0f} MB/s {:8.1f} us a tensor\n", what, seconds * 1e3,
             static_cast<double>(bytes) / seconds / 1e6, seconds * 1e6 / static_cast<double>(tensors));
}

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "error: {}\n  fix: {}\n", result.error().message, result.error().hint);
  std::exit(1);
}
void must(const Result<void>& result) {
  if (result) return;
  fmt::print(stderr, "error: {}\n  fix: {}\n", result.error().message, result.error().hint);
  std::exit(1);
}

using Tensors = std::vector<const HashedTensor*>;

void store_all(TensorStore& store, const Tensors& tensors, LocalSource& from) {
  std::string bytes;
  for (const HashedTensor* tensor : tensors) {
    bytes.resize(tensor->where.bytes);
    must(from.read(tensor->hash, bytes));
    TensorWriter writer = store.begin(tensor->hash, bytes.size(), {});
    must(writer.append(std::string_view(bytes).substr(writer.offset())));
    must(writer.finish());
    if (writer.not_stored()) must(Result<void>(*writer.not_stored()));
  }
}

void read_all(WeightSource& source, const Tensors& tensors, std::string& bytes) {
  for (const HashedTensor* tensor : tensors) {
    must(source.read(tensor->hash, std::span<char>(bytes).first(tensor->where.bytes)));
  }
}

/// What sending would gain if all types were packed, also those that are not.
void measure_packing(const Tensors& tensors, LocalSource& from) {
  struct Sums {
    std::uint64_t plain = 0;
    std::uint64_t packed = 0;
    double packing = 0;
    double unpacking = 0;
  };
  std::map<std::uint32_t, Sums> types;
  std::string bytes;
  for (const HashedTensor* tensor : tensors) {
    bytes.resize(std::min<std::uint64_t>(tensor->where.bytes, kMaxPackedChunk));
    must(from.stream(tensor->hash, tensor->where.bytes, [&](std::uint64_t offset, std::string_view part) {
      if (offset < bytes.size())
        part.substr(0, bytes.size() - offset).copy(bytes.data() + offset, part.size());
    }));
    Sums& sums = types[tensor->where.type];
    const unsigned width = packed_width(tensor->where.type).value_or(1);
    const auto start = Clock::now();
    const auto packed = pack(bytes, width);
    const auto middle = Clock::now();
    if (packed) must(unpack(*packed, width, bytes));
    sums.plain += bytes.size();
    sums.packed += packed ? packed->size() : bytes.size();
    sums.packing += std::chrono::duration<double>(middle - start).count();
    sums.unpacking += std::chrono::duration<double>(Clock::now() - middle).count();
  }
  for (const auto& [type, sums] : types) {
    const auto plain = static_cast<double>(sums.plain);
    fmt::print("{:<5} saves {:5.1f} %, packed with {:4.0f} MB/s, unpacked with {:4.0f} MB/s{}\n",
               ggml_type_name(static_cast<ggml_type>(type)),
               100 * (1 - static_cast<double>(sums.packed) / plain), plain / sums.packing / 1e6,
               plain / sums.unpacking / 1e6, packed_width(type) ? "" : " (only tried)");
  }
}

void measure(const fs::path& model, const fs::path& folder, unsigned threads) {
  HashingControl control;
  control.threads = threads;
  const ManifestCache cache(folder / "manifests");
  const Manifest manifest =
      must(cache.of_model(model, control));  // what is on a disk gets into the page cache
  Tensors tensors;
  std::uint64_t largest = 0;
  for (const FileManifest& file : manifest.files()) {
    for (const HashedTensor& tensor : file.tensors) {
      tensors.push_back(&tensor);
      largest = std::max(largest, tensor.where.bytes);
    }
  }
  const std::uint64_t all = manifest.bytes().count;
  fmt::print("{}: {} tensors, {}\n", model.filename().string(), tensors.size(), format_bytes(Bytes{all}));
  const auto timed = [&](const char* what, const std::function<void()>& task) {
    time(what, all, tensors.size(), task);
  };
  timed("hash the file", [&] { (void)must(hash_file(model, control)); });
  timed("load its manifest", [&] { (void)must(cache.of_model(model, control)); });
  LocalSource local;
  must(local.add(model, cache, control));
  std::string bytes(largest, '\0');
  read_all(local, tensors, bytes);
  timed("take all from the file, proven", [&] { read_all(local, tensors, bytes); });
  StoreLimits limits;
  limits.limit = Bytes{1ULL << 40U};
  {
    const auto store = must(TensorStore::open(folder / "store", limits));
    timed("store all (taking them from the file too)", [&] { store_all(*store, tensors, local); });
    timed("make it last (flush)", [&] { must(store->flush()); });
  }
  std::unique_ptr<TensorStore> store;
  timed("open the store again", [&] { store = must(TensorStore::open(folder / "store", limits)); });
  timed("ask for each", [&] {
    for (const HashedTensor* tensor : tensors) {
      if (!store->has(tensor->hash, tensor->where.bytes)) std::exit(1);
    }
  });
  timed("take all from the store, proven", [&] { read_all(*store, tensors, bytes); });
  measure_packing(tensors, local);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures the store of weights with a model, in a temporary folder");
  std::string model;
  unsigned threads = 1;
  app.add_option("MODEL", model, "a GGUF file")->required();
  app.add_option("--threads", threads, "that hash the file");
  CLI11_PARSE(app, argc, argv);
  const auto folder = TemporaryFolder::make("caravan-weights");
  if (!folder) must(Result<void>(folder.error()));
  measure(model, folder->path(), threads);
  return 0;
}
