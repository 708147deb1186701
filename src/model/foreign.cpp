#include "model/foreign.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace caravan::model {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kGetGguf = "pull it again, or name a file that ends in .gguf";
constexpr std::string_view kConvert =
    "convert it with llama.cpp's convert_hf_to_gguf.py, or pull its GGUF version";

struct Signature {
  std::string_view begins;  ///< in lower case
  Foreign foreign;
};

constexpr std::array kSignatures{
    Signature{"<!doctype"sv, {"a web page", kGetGguf}},
    Signature{"<html"sv, {"a web page", kGetGguf}},
    Signature{"<?xml"sv, {"an XML document", kGetGguf}},
    Signature{"version https://git-lfs"sv,
              {"a Git LFS pointer, not the model itself", "run `git lfs pull` where it was cloned"}},
    Signature{"pk\x03\x04"sv, {"a zip archive or PyTorch file", kConvert}},
    Signature{"\x1f\x8b"sv, {"gzip data", "unpack it with gunzip"}},
    Signature{"\x28\xb5\x2f\xfd"sv, {"zstd data", "unpack it with zstd -d"}},
    Signature{"tjgg"sv, {"a GGML file from before GGUF", "pull its GGUF version"}},
    Signature{"lmgg"sv, {"a GGML file from before GGUF", "pull its GGUF version"}},
    Signature{"fmgg"sv, {"a GGML file from before GGUF", "pull its GGUF version"}},
    Signature{"{"sv, {"JSON text", kGetGguf}},
    Signature{"\x7f"
              "elf"sv,
              {"a program", kGetGguf}},
    Signature{"%pdf"sv, {"a PDF document", kGetGguf}},
};

}  // namespace

std::optional<Foreign> recognise_foreign(std::string_view head) {
  if (head.substr(0, 4) == "GGUF") return std::nullopt;
  if (head.empty()) return Foreign{"an empty file", kGetGguf};
  // safetensors: 64-bit length of a JSON header, then the header
  if (head.size() > 9 && head.substr(6, 2) == "\0\0"sv && head.substr(8, 2) == "{\"") {
    return Foreign{"a safetensors file", kConvert};
  }
  std::string lower(head.substr(0, 64));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  for (const Signature& signature : kSignatures) {
    if (lower.rfind(signature.begins, 0) == 0) return signature.foreign;
  }
  if (std::all_of(head.begin(), head.end(), [](char c) { return c == '\0'; })) {
    return Foreign{"a file of zeros, as an interrupted download leaves it", kGetGguf};
  }
  return Foreign{"something else", kGetGguf};
}

}  // namespace caravan::model
