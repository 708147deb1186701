#include "engine/kernel_lines.h"

#include <type_traits>

namespace caravan::engine {
namespace {

constexpr std::size_t kMaxLine = 4096;

Json json_of(const KernelLine& line) {
  return std::visit(
      [](const auto& said) -> Json {
        using Said = std::decay_t<decltype(said)>;
        if constexpr (std::is_same_v<Said, KernelsLoaded>) {
          return {{"loaded", {{"ggml", said.ggml}, {"library", said.library}}}};
        } else if constexpr (std::is_same_v<Said, Measurement>) {
          return caravan::to_json(said);
        } else if constexpr (std::is_same_v<Said, KernelSkipped>) {
          return {{"skipped", {{"type", said.type}, {"layout", said.layout}, {"reason", said.reason}}}};
        } else if constexpr (std::is_same_v<Said, KernelsDone>) {
          return {{"done", true}};
        } else {
          return {{"error", caravan::to_json(said)}};
        }
      },
      line);
}

KernelLine read_loaded(const Json& value) {
  Fields fields(value, "loaded");
  KernelsLoaded loaded{fields.text("ggml"), fields.text("library")};
  if (!fields.ok()) return fields.error();
  return loaded;
}

KernelLine read_skipped(const Json& value) {
  Fields fields(value, "skipped");
  KernelSkipped skipped{fields.text("type"), fields.text("layout"), fields.text("reason")};
  if (!fields.ok()) return fields.error();
  return skipped;
}

}  // namespace

std::string to_text(const KernelLine& line) { return dump_json(json_of(line)); }

std::optional<KernelLine> parse_kernel_line(std::string_view text) {
  if (text.empty() || text.front() != '{') return std::nullopt;
  const auto parsed = parse_json(text, kMaxLine);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  if (parsed->contains("loaded")) return read_loaded((*parsed)["loaded"]);
  if (parsed->contains("skipped")) return read_skipped((*parsed)["skipped"]);
  if (parsed->contains("done")) return KernelsDone{};
  if (parsed->contains("error")) return error_from_json((*parsed)["error"]);
  auto measurement = measurement_from_json(*parsed);
  if (!measurement) return measurement.error();
  return std::move(*measurement);
}

}  // namespace caravan::engine
