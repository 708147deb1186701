#include "cluster/desired.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace caravan::cluster {
namespace {

constexpr std::size_t kMostNames = 64;
/// An epoch is, from the lowest bits on: 16 of who began it, 10 that count successions, the wishes. All
/// together at most 2^53 (JSON).
constexpr unsigned kSuccessionBits = 16;
constexpr unsigned kWishBits = 26;
constexpr std::uint64_t kMostEpoch = std::uint64_t{1} << 52U;  // leaves room for those to come
constexpr std::array<std::pair<plan::Objective, std::string_view>, 3> kObjectives{
    {{plan::Objective::latency, "latency"},
     {plan::Objective::throughput, "throughput"},
     {plan::Objective::fit, "fit"}}};

/// Whatever is accepted must be readable again from the file that it is kept in (kMaxDesiredBytes).
std::string short_text(Fields& fields, std::string_view field, std::string text) {
  const bool plain =
      std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (text.size() > kMostTextBytes || !plain)
    fields.fail(field, "must be at most 240 bytes without control characters");
  return text;
}

std::vector<std::string> read_names(Fields& fields, const char* field) {
  std::vector<std::string> names = fields.texts_or_none(field, kMostNames);
  for (std::string& name : names) name = short_text(fields, field, std::move(name));
  return names;
}

std::optional<int> read_count(Fields& fields, const char* field) {
  const int count = fields.small_or(field, 0);
  return count > 0 ? std::optional(count) : std::nullopt;
}

}  // namespace

const Wish* Desired::find(std::string_view model) const {
  const auto found =
      std::find_if(wishes.begin(), wishes.end(), [&](const Wish& wish) { return wish.model == model; });
  return found == wishes.end() ? nullptr : &*found;
}

bool is_newer(const Desired& a, const Desired& b) {
  return std::tie(a.epoch, a.controller) > std::tie(b.epoch, b.controller);
}

std::uint64_t next_epoch(std::uint64_t epoch, std::string_view device, Claim claim) {
  std::uint32_t hash = 2166136261;  // FNV-1a, RFC draft-eastlake-fnv: the same on every platform
  for (const char c : device) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  const unsigned bits = claim == Claim::wish ? kWishBits : kSuccessionBits;
  return (((epoch >> bits) + 1) << bits) | ((hash >> 16U) ^ (hash & 0xFFFFU));
}

std::string_view name_of(plan::Objective objective) {
  for (const auto& [value, name] : kObjectives) {
    if (value == objective) return name;
  }
  return "latency";
}

std::optional<plan::Objective> objective_from(std::string_view name) {
  for (const auto& [value, known] : kObjectives) {
    if (known == name) return value;
  }
  return std::nullopt;
}

Json to_json(const Wish& wish) {
  Json value{{"model", wish.model},
             {"file", wish.file},
             {"size", wish.size.count},
             {"for", name_of(wish.objective)},
             {"use", wish.use},
             {"avoid", wish.avoid},
             {"keep_free", wish.keep_free.count}};
  if (wish.context) value["context"] = *wish.context;
  if (wish.parallel) value["parallel"] = *wish.parallel;
  if (!wish.plain.empty()) value["plain"] = to_json(wish.plain);
  if (wish.data_path != DataPath::fabric) value["data_path"] = name_of(wish.data_path);
  if (wish.wire != engine::WireFormat::f32) value["wire"] = name_of(wish.wire);
  if (wish.speculation != plan::SpeculationWish::automatic) value["speculation"] = name_of(wish.speculation);
  return value;
}

Json to_json(const Desired& desired) {
  Json wishes = Json::array();
  for (const Wish& wish : desired.wishes) wishes.push_back(to_json(wish));
  return {{"version", kDesiredVersion},
          {"epoch", desired.epoch},
          {"since", desired.since},
          {"controller", desired.controller},
          {"wishes", std::move(wishes)}};
}

Result<Wish> wish_from_json(const Json& value) {
  Fields fields(value, "wish");
  Wish wish;
  wish.model = short_text(fields, "model", fields.text("model"));
  if (wish.model.empty()) fields.fail("model", "must not be empty");
  wish.file = short_text(fields, "file", fields.text("file"));
  if (fs::path(wish.file).filename() != wish.file || wish.file == "." || wish.file == ".." ||
      wish.file.empty())
    fields.fail("file", "must be a plain file name");
  wish.size = Bytes{fields.whole("size")};
  const auto objective = objective_from(fields.text_or("for", "latency"));
  if (!objective) fields.fail("for", "must be latency, throughput or fit");
  wish.objective = objective.value_or(plan::Objective::latency);
  wish.context = read_count(fields, "context");
  wish.parallel = read_count(fields, "parallel");
  wish.keep_free = Bytes{fields.whole_or("keep_free", 0)};
  wish.use = read_names(fields, "use");
  wish.avoid = read_names(fields, "avoid");
  wish.plain = read_plain_workers(fields, "plain");
  // Who has not chosen gets what is usual now, also in a record of before it was.
  const auto path = data_path_from(fields.text_or("data_path", "fabric"));
  if (!path) fields.fail("data_path", "must be rpc or fabric");
  wish.data_path = path.value_or(DataPath::rpc);
  wish.wire = read_wire(fields);
  const auto speculation = plan::speculation_wish_from(fields.text_or("speculation", "auto"));
  if (!speculation) fields.fail("speculation", "must be auto, none or ngram");
  wish.speculation = speculation.value_or(plan::SpeculationWish::automatic);
  if (!fields.ok()) return fields.error();
  return wish;
}

Result<Desired> desired_from_json(const Json& value) {
  Fields fields(value, "desired");
  const int version = fields.small("version");
  if (fields.ok() && version != kDesiredVersion) {
    return Error{
        Code::incompatible,
        fmt::format("a deployment of version {}, this Caravan knows version {}", version, kDesiredVersion),
        "run the same Caravan on every device"};
  }
  Desired desired;
  desired.epoch = fields.whole("epoch");
  desired.controller = short_text(fields, "controller", fields.text("controller"));
  desired.since = fields.whole("since");
  for (const Json& item : fields.list("wishes")) {
    auto wish = wish_from_json(item);
    if (!wish) return wish.error();
    if (desired.find(wish->model) != nullptr) fields.fail("wishes", "must have each model once");
    desired.wishes.push_back(std::move(*wish));
    if (desired.wishes.size() <= kMostWishes) continue;
    fields.fail("wishes", "must be at most 8");
    break;
  }
  if (desired.epoch > kMostEpoch) fields.fail("epoch", "must be at most 2^52");
  if (desired.since > desired.epoch || (desired.since == 0) != (desired.epoch == 0))
    fields.fail("since", "must be an epoch up to this one");
  // Nobody could follow or succeed a controller without a name.
  if ((desired.epoch == 0) != desired.controller.empty())
    fields.fail("controller", "must be there from epoch 1 on, and not before");
  if (desired.epoch == 0 && !desired.wishes.empty())
    fields.fail("wishes", "must not be there before epoch 1");
  if (!fields.ok()) return fields.error();
  return desired;
}

Result<Desired> load_desired(const fs::path& path) {
  std::error_code failure;
  if (!fs::exists(path, failure) && !failure) return Desired{};
  const auto text = read_file(path, Bytes{kMaxDesiredBytes});
  if (!text) return text.error();
  const auto value = parse_json(*text, kMaxDesiredBytes);
  auto desired = value ? desired_from_json(*value) : Result<Desired>(value.error());
  if (!desired) return with_context(desired.error(), path.string());
  return desired;
}

Result<void> save_desired(const fs::path& path, const Desired& desired) {
  return write_file_atomically(path, dump_json(to_json(desired)) + "\n");
}

}  // namespace caravan::cluster
