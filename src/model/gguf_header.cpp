#include "model/gguf_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include <fmt/format.h>

#include "base/text.h"
#include "model/foreign.h"

namespace caravan::model {
namespace {

// What is put in front of ggml's reader, and why:
// - it compares every key and every tensor name with all before it, so that a few MiB of them take hours;
// - it allocates for array lengths that fit in the file, which is no limit for a sparse one, and a
// std::bad_alloc while it
//   reads a string value passes through it. It believes the size that it is told, so it is told at most
//   kMaxHeader.
// Real models have about 50 keys, up to 2,000 tensors and, for a vocabulary of 262,144, a header of 16 MiB.
constexpr std::uint64_t kMaxKeys = 8192;
constexpr std::uint64_t kMaxTensors = 16384;
constexpr std::size_t kFixedHeader = 24;  // magic, version, number of tensors, number of keys

/// ggml reports through one process-wide callback; what it says goes to whoever reads a model on this thread.
thread_local std::string* ggml_words = nullptr;

class CaptureGgmlWords {
 public:
  CaptureGgmlWords() {
    static const bool installed = [] {
      ggml_log_set(
          [](ggml_log_level, const char* text, void*) {
            if (ggml_words != nullptr && ggml_words->size() < 4096) ggml_words->append(text);
          },
          nullptr);
      return true;
    }();
    (void)installed;
    ggml_words = &words_;
  }
  CaptureGgmlWords(const CaptureGgmlWords&) = delete;
  CaptureGgmlWords& operator=(const CaptureGgmlWords&) = delete;
  ~CaptureGgmlWords() { ggml_words = nullptr; }

  /// The first line, which is the most exact one, without the name of ggml's function in front.
  std::string first_line() const {
    std::string_view line = std::string_view(words_).substr(0, words_.find('\n'));
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos && line.substr(0, colon).find(' ') == std::string_view::npos) {
      line.remove_prefix(colon + 2);
    }
    return printable(trim(line));
  }

 private:
  std::string words_;
};

Error truncated(const ByteSource& source, Bytes expected) {
  return refuse(source,
                fmt::format("is truncated: {} of {}", format_bytes(source.size), format_bytes(expected)),
                "get the file again: `caravan models pull`");
}

std::size_t read_for_ggml(void* user_data, void* output, std::uint64_t offset, std::size_t length) {
  return std::min(length, static_cast<const ByteSource*>(user_data)->read(output, offset, length));
}

/// Magic number and counts, before ggml sees the file.
Result<void> check_fixed_header(const ByteSource& source) {
  std::array<char, 64> head{};
  const std::size_t got = source.read(head.data(), 0, head.size());
  if (const auto foreign = recognise_foreign(std::string_view(head.data(), got))) {
    return refuse(source, fmt::format("is not a GGUF model but {}", foreign->what),
                  std::string(foreign->cure));
  }
  if (got < kFixedHeader) return corrupt(source, "it ends inside its header");
  std::uint64_t tensors = 0;
  std::uint64_t keys = 0;
  std::memcpy(&tensors, head.data() + 8, sizeof tensors);
  std::memcpy(&keys, head.data() + 16, sizeof keys);
  if (keys > kMaxKeys) return corrupt(source, fmt::format("it claims to have {} keys", keys));
  if (tensors > kMaxTensors) return corrupt(source, fmt::format("it claims to have {} tensors", tensors));
  return {};
}

Result<Gguf> parse_header(const ByteSource& source) {
  const CaptureGgmlWords words;
  const gguf_init_params header_only{/*no_alloc=*/true, /*ctx=*/nullptr};
  const std::uint64_t size = std::min(source.size, kMaxHeader).count;
  Gguf gguf;
  try {
    auto* user_data =
        const_cast<ByteSource*>(&source);  // comes back in read_for_ggml, which does not change it
    gguf.reset(gguf_init_from_callback(read_for_ggml, user_data, 0, size, header_only));
  } catch (const std::bad_alloc&) {
    return Error{Code::exhausted, fmt::format("not enough memory to read the header of {}", source.name), ""};
  }
  if (gguf) return gguf;
  const std::string why = words.first_line();
  // ggml says no more than "failed to read" about a header that ends early
  if (why.rfind("failed to read", 0) == 0 || why.rfind("failed to seek", 0) == 0) {
    if (source.size > kMaxHeader) return corrupt(source, "its header is larger than that of any model");
    return corrupt(source, fmt::format("it ends inside its header, at {}", format_bytes(source.size)));
  }
  return corrupt(source, why);
}

/// The tensors, all checked to end inside the file.
Result<std::vector<GgufTensor>> read_tensors(const ByteSource& source, const gguf_context& gguf) {
  std::vector<GgufTensor> tensors;
  std::uint64_t end = 0;
  for (std::int64_t i = 0; i < gguf_get_n_tensors(&gguf); ++i) {
    auto tensor = tensor_of(gguf, i);
    if (!tensor) {
      return corrupt(
          source, fmt::format("impossible size of tensor '{}'", printable(gguf_get_tensor_name(&gguf, i))));
    }
    end = std::max(end, tensor->end);
    tensors.push_back(std::move(*tensor));
  }
  if (end > source.size.count) return truncated(source, Bytes{end});
  return tensors;
}

}  // namespace

Error refuse(const ByteSource& source, std::string_view what, std::string hint) {
  return Error{Code::incompatible, fmt::format("{} {}", source.name, what), std::move(hint)};
}

Error corrupt(const ByteSource& source, std::string_view why) {
  return refuse(source, fmt::format("is corrupt: {}", why), "get the file again: `caravan models pull`");
}

Result<GgufHeader> read_header(const ByteSource& source) {
  if (const auto checked = check_fixed_header(source); !checked) return checked.error();
  auto gguf = parse_header(source);
  if (!gguf) return gguf.error();
  auto tensors = read_tensors(source, **gguf);
  if (!tensors) return tensors.error();
  return GgufHeader{std::move(*gguf), std::move(*tensors)};
}

}  // namespace caravan::model
