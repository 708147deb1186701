#include "fabric/store/gguf_layout.h"

#include <algorithm>
#include <cstring>

#include "fabric/store/codec.h"
#include "fabric/store/store_testing.h"

namespace caravan::fabric {
namespace {

using ::testing::HasSubstr;

ByteReader reader_of(const std::string& bytes) {
  return {"x.gguf", bytes.size(),
          [&bytes](void* out, std::uint64_t offset, std::size_t length) -> std::size_t {
            if (offset >= bytes.size()) return 0;
            const std::size_t got = std::min<std::size_t>(length, bytes.size() - offset);
            std::memcpy(out, bytes.data() + offset, got);
            return got;
          }};
}

std::string problem_of(const std::string& bytes) {
  const auto layout = read_gguf_layout(reader_of(bytes));
  if (layout) return "none";
  EXPECT_EQ(layout.error().code, Code::incompatible);
  EXPECT_FALSE(layout.error().hint.empty());
  return layout.error().message;
}

void put_text(std::string& out, std::string_view text) {
  put(out, std::uint64_t{text.size()});
  out += text;
}

std::string head(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
  std::string out = "GGUF";
  put(out, version);
  put(out, tensors);
  put(out, keys);
  return out;
}

void put_tensor(std::string& out, std::string_view name, const std::vector<std::uint64_t>& shape,
                std::uint64_t offset, std::uint32_t type = GGML_TYPE_F32) {
  put_text(out, name);
  put(out, static_cast<std::uint32_t>(shape.size()));
  for (const std::uint64_t length : shape) put(out, length);
  put(out, type);
  put(out, offset);
}

class GgufLayoutTest : public FolderTest {
 protected:
  std::string model_bytes(TestSplit split = {}) {
    write_model(folder() / "x.gguf",
                {{"token_embd.weight", GGML_TYPE_Q4_1, {64, 32}, 1},
                 {"norm", GGML_TYPE_F32, {7}, 2},
                 {"deep", GGML_TYPE_F16, {4, 3, 2, 5}, 3}},
                split);
    return bytes_of(folder() / "x.gguf");
  }
};

TEST_F(GgufLayoutTest, SaysWhatGgmlsOwnReaderSays) {
  const std::string bytes = model_bytes();
  const auto layout = read_gguf_layout(reader_of(bytes));
  ASSERT_TRUE(layout.ok()) << layout.error().message;
  EXPECT_EQ(layout->split, GgufSplit{});
  const std::unique_ptr<gguf_context, void (*)(gguf_context*)> gguf(
      gguf_init_from_file((folder() / "x.gguf").c_str(), {true, nullptr}), gguf_free);
  ASSERT_EQ(layout->tensors.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto id = static_cast<std::int64_t>(i);
    const GgufTensor& tensor = layout->tensors[i];
    EXPECT_EQ(tensor.name, gguf_get_tensor_name(gguf.get(), id));
    EXPECT_EQ(tensor.type, static_cast<std::uint32_t>(gguf_get_tensor_type(gguf.get(), id)));
    EXPECT_EQ(tensor.offset, gguf_get_data_offset(gguf.get()) + gguf_get_tensor_offset(gguf.get(), id));
    EXPECT_EQ(tensor.bytes, gguf_get_tensor_size(gguf.get(), id));
    EXPECT_EQ(bytes.substr(tensor.offset, tensor.bytes), content_of(tensor.bytes, static_cast<char>(i + 1)));
  }
  EXPECT_EQ(layout->tensors[2].shape, (std::array<std::uint64_t, 4>{4, 3, 2, 5}));
}

TEST_F(GgufLayoutTest, ReadsThePlaceAmongShards) {
  const auto layout = read_gguf_layout(reader_of(model_bytes({2, 5, 77})));
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->split, (GgufSplit{5, 2, 77}));
}

TEST_F(GgufLayoutTest, EveryTruncationIsAnError) {
  const std::string bytes = model_bytes();
  const auto layout = read_gguf_layout(reader_of(bytes));
  const GgufTensor& last = layout->tensors.back();
  for (std::size_t size = 0; size < last.offset + last.bytes; ++size) {
    ASSERT_NE(problem_of(bytes.substr(0, size)), "none") << size;
  }
  EXPECT_THAT(problem_of(bytes.substr(0, last.offset + 1)), HasSubstr("tensor 'deep' ends at"));
  EXPECT_THAT(problem_of(bytes.substr(0, 30)), HasSubstr("ends inside its header"));
}

TEST_F(GgufLayoutTest, NamesWhatIsWrong) {
  EXPECT_THAT(problem_of(""), HasSubstr("is not a GGUF model"));
  EXPECT_THAT(problem_of("PK\x03\x04 something else"), HasSubstr("is not a GGUF model"));
  EXPECT_THAT(problem_of(head(0, 0, 1)), HasSubstr("version 1"));
  EXPECT_THAT(problem_of(head(0, 0, 0x03000000)), HasSubstr("version"));
  EXPECT_THAT(problem_of(head(1ULL << 40U, 0)), HasSubstr("claims to have 1099511627776 tensors"));
  EXPECT_THAT(problem_of(head(0, ~0ULL)), HasSubstr("claims to have 18446744073709551615 keys"));
  EXPECT_EQ(problem_of(head(0, 0)), "none") << "a vocabulary without tensors";
}

TEST_F(GgufLayoutTest, RefusesTensorsThatCannotBe) {
  const auto with_tensors = [](const std::function<void(std::string&)>& put_them, std::uint64_t count) {
    std::string out = head(count, 0);
    put_them(out);
    out.resize((out.size() + 31) / 32 * 32 + 4096);
    return problem_of(out);
  };
  EXPECT_EQ(with_tensors([](auto& out) { put_tensor(out, "a", {8}, 0); }, 1), "none");
  EXPECT_THAT(with_tensors(
                  [](auto& out) {
                    put_tensor(out, "a", {8}, 0);
                    put_tensor(out, "a", {8}, 32);
                  },
                  2),
              HasSubstr("two tensors of the name 'a'"));
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, "a", {8}, 32); }, 1),
              HasSubstr("at 32 instead of 0"));
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, "a", {8}, ~0ULL); }, 1),
              HasSubstr("instead of 0"));
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, "a", {5000}, 0); }, 1), HasSubstr("ends at"));
  EXPECT_THAT(with_tensors(
                  [](auto& out) {
                    put_tensor(out, "a", {1ULL << 32U, 1ULL << 32U}, 0);
                  },
                  1),
              HasSubstr("impossible size"));
  EXPECT_THAT(with_tensors(
                  [](auto& out) {
                    put_tensor(out, "a", {1ULL << 61U, 2}, 0);
                  },
                  1),
              HasSubstr("impossible size"));
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, "a", {~0ULL}, 0); }, 1),
              HasSubstr("impossible size"));
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, "a", {8}, 0, 4); }, 1), HasSubstr("unknown type"))
      << "Q4_2 is long gone";
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, "a", {8}, 0, 4711); }, 1),
              HasSubstr("unknown type"));
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, "a", {33}, 0, GGML_TYPE_Q4_0); }, 1),
              HasSubstr("impossible size"));
  EXPECT_THAT(with_tensors(
                  [](auto& out) {
                    put_tensor(out, "a", {1, 1, 1, 1, 1}, 0);
                  },
                  1),
              HasSubstr("5 dimensions"));
  EXPECT_THAT(with_tensors([](auto& out) { put_tensor(out, std::string(64, 'n'), {8}, 0); }, 1),
              HasSubstr("name of 64 bytes"));
}

TEST_F(GgufLayoutTest, RefusesKeysThatCannotBe) {
  const auto with_key = [](std::string_view key, std::uint32_t type,
                           const std::function<void(std::string&)>& value) {
    std::string out = head(0, 1);
    put_text(out, key);
    put(out, type);
    value(out);
    return problem_of(out);
  };
  EXPECT_THAT(with_key("k", 99, [](auto&) {}), HasSubstr("unknown type, 99"));
  EXPECT_THAT(with_key("k", GGUF_TYPE_STRING, [](auto& out) { put(out, ~0ULL); }), HasSubstr("ends inside"));
  const auto array = [](std::uint32_t type, std::uint64_t count) {
    return [type, count](std::string& out) {
      put(out, type);
      put(out, count);
    };
  };
  EXPECT_THAT(with_key("k", GGUF_TYPE_ARRAY, array(GGUF_TYPE_STRING, ~0ULL)), HasSubstr("ends inside"));
  EXPECT_THAT(with_key("k", GGUF_TYPE_ARRAY, array(GGUF_TYPE_FLOAT64, 1ULL << 61U)),
              HasSubstr("an array of"));
  EXPECT_THAT(with_key("k", GGUF_TYPE_ARRAY, array(GGUF_TYPE_ARRAY, 1)), HasSubstr("unknown type"));
  for (const std::uint32_t bad : {0U, 3U, 33U}) {
    EXPECT_THAT(with_key("general.alignment", GGUF_TYPE_UINT32, [bad](auto& out) { put(out, bad); }),
                HasSubstr("no power of two"));
  }
  EXPECT_THAT(with_key(std::string(70'000, 'k'), GGUF_TYPE_BOOL, [](auto&) {}), HasSubstr("a key of 70000"));
  std::string twice = head(0, 2);
  for (int i = 0; i < 2; ++i) {
    put_text(twice, "k");
    put(twice, std::uint32_t{GGUF_TYPE_BOOL});
    put(twice, std::uint8_t{1});
  }
  EXPECT_THAT(problem_of(twice), HasSubstr("the key 'k' twice"));
}

TEST_F(GgufLayoutTest, AHeaderThatGoesOnWithoutEndIsRefused) {
  std::string bytes = head(0, 1);
  put_text(bytes, "k");
  put(bytes, std::uint32_t{GGUF_TYPE_ARRAY});
  put(bytes, std::uint32_t{GGUF_TYPE_STRING});
  put(bytes, std::uint64_t{1} << 40U);
  ByteReader reader = reader_of(bytes);
  reader.size = 1ULL << 50U;  // a sparse file: all that follows is zeros
  reader.read = [&](void* out, std::uint64_t offset, std::size_t length) {
    std::memset(out, 0, length);
    if (offset < bytes.size()) {
      std::memcpy(out, bytes.data() + offset, std::min<std::size_t>(length, bytes.size() - offset));
    }
    return length;
  };
  const auto layout = read_gguf_layout(reader);
  ASSERT_FALSE(layout.ok());
  EXPECT_THAT(layout.error().message, HasSubstr("larger than that of any model"));
}

TEST_F(GgufLayoutTest, AFileThatCannotBeReadIsAnError) {
  ByteReader reader{"x.gguf", 1000, [](void*, std::uint64_t, std::size_t) -> std::size_t { return 0; }};
  EXPECT_FALSE(read_gguf_layout(reader).ok());
}

TEST_F(GgufLayoutTest, AlignmentMovesTheData) {
  std::string bytes = head(2, 1);
  put_text(bytes, "general.alignment");
  put(bytes, std::uint32_t{GGUF_TYPE_UINT32});
  put(bytes, std::uint32_t{256});
  put_tensor(bytes, "a", {1}, 0);
  put_tensor(bytes, "b", {1}, 256);
  bytes.resize(256 + 256 + 4);
  const auto layout = read_gguf_layout(reader_of(bytes));
  ASSERT_TRUE(layout.ok()) << layout.error().message;
  EXPECT_EQ(layout->tensors[0].offset, 256U);
  EXPECT_EQ(layout->tensors[1].offset, 512U);
}

}  // namespace
}  // namespace caravan::fabric
