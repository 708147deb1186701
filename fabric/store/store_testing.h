// For tests of the store: model files made with ggml's own writer, folders, processes that die.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ggml.h>
#include <gguf.h>
#include <gmock/gmock.h>

#include "base/files.h"
#include "fabric/store/tensor_store.h"

namespace caravan::fabric {

struct TestTensor {
  std::string name;
  ggml_type type = GGML_TYPE_F32;
  std::vector<std::int64_t> shape;
  char fill = 0;  ///< the bytes are a sequence that depends on it
};

inline std::string content_of(std::size_t size, char fill) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<char>(fill + static_cast<char>(i * 31 + (i >> 8U)));
  return bytes;
}

struct TestSplit {
  std::uint16_t number = 0;
  std::uint16_t count = 0;  ///< 0: no shard
  std::int32_t tensors = 0;
};

/// Writes a GGUF file with a vocabulary's worth of other keys in it.
inline void write_model(const fs::path& path, const std::vector<TestTensor>& tensors, TestSplit split = {}) {
  const std::unique_ptr<gguf_context, void (*)(gguf_context*)> gguf(gguf_init_empty(), gguf_free);
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(
      ggml_init({std::size_t{4} << 20U, nullptr, true}), ggml_free);
  std::vector<const char*> words(100, "word");
  gguf_set_val_str(gguf.get(), "general.architecture", "llama");
  gguf_set_arr_str(gguf.get(), "tokenizer.ggml.tokens", words.data(), words.size());
  const std::vector<float> scores(100, 0.5F);
  gguf_set_arr_data(gguf.get(), "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
  gguf_set_val_bool(gguf.get(), "some.flag", true);
  gguf_set_val_f64(gguf.get(), "some.number", 1.5);
  if (split.count > 0) {
    gguf_set_val_u16(gguf.get(), "split.no", split.number);
    gguf_set_val_u16(gguf.get(), "split.count", split.count);
    gguf_set_val_i32(gguf.get(), "split.tensors.count", split.tensors);
  }
  std::vector<std::string> contents;
  contents.reserve(tensors.size());
  for (const TestTensor& each : tensors) {
    ggml_tensor* tensor =
        ggml_new_tensor(context.get(), each.type, static_cast<int>(each.shape.size()), each.shape.data());
    ggml_set_name(tensor, each.name.c_str());
    contents.push_back(content_of(ggml_nbytes(tensor), each.fill));
    tensor->data = contents.back().data();
    gguf_add_tensor(gguf.get(), tensor);
  }
  ASSERT_TRUE(gguf_write_to_file(gguf.get(), path.c_str(), false));
}

inline std::string bytes_of(const fs::path& path) { return *read_file(path, mebibytes(64)); }

inline void write_bytes(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Runs `task` in a process of its own that ends without any clean-up.
inline pid_t start_child(const std::function<int()>& task) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(task());
  return child;
}
/// What its task returned; -1 when it was killed.
inline int end_of(pid_t child) {
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
inline int in_child(const std::function<int()>& task) { return end_of(start_child(task)); }

class FolderTest : public ::testing::Test {
 protected:
  fs::path folder() const { return folder_->path(); }

  Result<TemporaryFolder> folder_ = TemporaryFolder::make("caravan-store-test");
};

class StoreTest : public FolderTest {
 protected:
  fs::path store_folder() const { return folder() / "store"; }
  std::unique_ptr<TensorStore> open_store(
      Bytes limit = mebibytes(64), std::chrono::milliseconds patience = std::chrono::seconds(20)) const {
    StoreLimits limits;
    limits.limit = limit;
    limits.keep_free = {};
    limits.lock_patience = patience;
    auto store = TensorStore::open(store_folder(), limits);
    EXPECT_TRUE(store.ok()) << (store.ok() ? "" : store.error().message);
    return store.ok() ? std::move(*store) : nullptr;
  }
  /// Stores all of it, in one go.
  static void put(TensorStore& store, const std::string& bytes) {
    auto writer = store.begin(digest_of(bytes), bytes.size(), {});
    EXPECT_TRUE(writer.append(std::string_view(bytes).substr(writer.offset())));
    EXPECT_TRUE(writer.finish());
    EXPECT_FALSE(writer.not_stored()) << writer.not_stored()->message;
  }
  static std::string get(WeightSource& store, const std::string& wanted) {
    std::string bytes(wanted.size(), '\0');
    const auto read = store.read(digest_of(wanted), bytes);
    return read ? bytes : "error: " + read.error().message;
  }
  static std::vector<fs::path> files_in(const fs::path& path) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
    return files;
  }
  static void age(const fs::path& path, std::chrono::hours by) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - by);
  }

  static constexpr std::size_t kLarge = std::size_t{3} << 20U;  ///< a file of its own
  static constexpr std::size_t kSmall = 2304;                   ///< a norm: goes into a pack
};

}  // namespace caravan::fabric
