#include "model/shape.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"

namespace caravan::embedded {
std::string_view model_shapes();
}

namespace caravan::model {
namespace {

constexpr std::size_t kMaxJson = 1U << 20U;
constexpr std::uint64_t kVersion = 1;
// Beyond these nothing is a model, and below them no product of theirs overflows.
constexpr std::uint64_t kMaxLayers = 1024;
constexpr std::uint64_t kMaxWidth = 1U << 17U;
constexpr std::uint64_t kMaxHeads = 1024;
constexpr std::uint64_t kMaxVocabulary = 1U << 22U;
constexpr std::uint64_t kMaxContext = 1U << 24U;

std::optional<std::uint64_t> months_of(const std::string& text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 7 || text[4] != '-') return std::nullopt;
  for (const std::size_t place : {0U, 1U, 2U, 3U, 5U, 6U}) {
    if (!is_digit(text[place])) return std::nullopt;
  }
  const auto month = static_cast<std::uint64_t>(std::stoi(text.substr(5)));
  if (month < 1 || month > 12) return std::nullopt;
  return static_cast<std::uint64_t>(std::stoi(text.substr(0, 4))) * 12 + month - 1;
}

class ShapeReader {
 public:
  ShapeReader(const Json& json, std::size_t number) : fields_(json, fmt::format("shapes[{}]", number)) {}

  Result<ModelShape> read() {
    read_words();
    shape_.layers = within("layers", 1, kMaxLayers);
    shape_.width = within("width", 32, kMaxWidth);
    shape_.heads = within("heads", 1, kMaxHeads);
    shape_.kv_heads = within("kv_heads", 1, kMaxHeads);
    shape_.head_width = within("head_width", 1, kMaxHeads);
    shape_.vocabulary = within("vocabulary", 1, kMaxVocabulary);
    shape_.context = within("context", 1, kMaxContext);
    shape_.feed_forward = optional("feed_forward", kMaxWidth);
    shape_.window = optional("window", kMaxContext);
    shape_.experts = optional("experts", kMaxHeads);
    shape_.experts_used = optional("experts_used", kMaxHeads);
    shape_.expert_feed_forward = optional("expert_feed_forward", kMaxWidth);
    shape_.tied = fields_.flag_or("tied", false);
    shape_.qkv_bias = fields_.flag_or("qkv_bias", false);
    shape_.qk_norm = fields_.flag_or("qk_norm", false);
    shape_.norms_after = fields_.flag_or("norms_after", false);
    shape_.fused = fields_.flag_or("fused", false);
    check_together();
    if (!fields_.ok()) return fields_.error();
    return std::move(shape_);
  }

 private:
  void read_words() {
    shape_.name = fields_.text("name");
    shape_.title = fields_.text_or("title", shape_.name);
    shape_.architecture = fields_.text("architecture");
    shape_.licence = fields_.text_or("licence", "");
    shape_.source = fields_.text("source");
    const auto published = months_of(fields_.text("published"));
    if (fields_.ok() && !published) fields_.fail("published", "must be a month, as in 2025-04");
    shape_.published = published.value_or(0);
    if (fields_.ok() && (shape_.name.empty() || shape_.architecture.empty())) {
      fields_.fail("name", "and 'architecture' must not be empty");
    }
  }

  std::uint64_t within(std::string_view name, std::uint64_t least, std::uint64_t most) {
    const std::uint64_t value = fields_.whole(name);
    if (fields_.ok() && (value < least || value > most)) {
      fields_.fail(name, fmt::format("must be {} to {}", least, most));
    }
    return value;
  }

  std::uint64_t optional(std::string_view name, std::uint64_t most) {
    const std::uint64_t value = fields_.whole_or(name, 0);
    if (fields_.ok() && value > most) fields_.fail(name, fmt::format("must be at most {}", most));
    return value;
  }

  void check_together() {
    if (!fields_.ok()) return;
    if (shape_.kv_heads > shape_.heads) fields_.fail("kv_heads", "cannot be more than 'heads'");
    const bool has_experts = shape_.experts > 0;
    if (has_experts && (shape_.experts_used == 0 || shape_.experts_used > shape_.experts ||
                        shape_.expert_feed_forward == 0)) {
      fields_.fail("experts", "need 'experts_used', at most as many, and 'expert_feed_forward'");
    }
    if (!has_experts && shape_.feed_forward == 0) fields_.fail("feed_forward", "or 'experts' is needed");
  }

  Fields fields_;
  ModelShape shape_;
};

}  // namespace

Result<std::vector<ModelShape>> parse_shapes(std::string_view json) {
  const auto parsed = parse_json(json, kMaxJson);
  if (!parsed) return parsed.error();
  if (!parsed->is_object()) return Error{Code::invalid, "the table of shapes is no JSON object", ""};
  Fields fields(*parsed, "table of shapes");
  if (const std::uint64_t version = fields.whole("version"); fields.ok() && version > kVersion) {
    return Error{Code::incompatible,
                 fmt::format("the table of shapes is of version {}, known is {}", version, kVersion),
                 "update Caravan"};
  }
  std::vector<ModelShape> shapes;
  std::set<std::string> names;
  for (const Json& entry : fields.list("shapes")) {
    auto shape = ShapeReader(entry, shapes.size()).read();
    if (!shape) return shape.error();
    if (!names.insert(shape->name).second) {
      fields.fail("shapes", fmt::format("has two called '{}'", printable(shape->name)));
    }
    shapes.push_back(std::move(*shape));
  }
  if (!fields.ok()) return fields.error();
  return shapes;
}

Result<std::vector<ModelShape>> known_shapes() { return parse_shapes(embedded::model_shapes()); }

}  // namespace caravan::model
