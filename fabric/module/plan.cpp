#include "fabric/module/plan.h"

#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include <fmt/format.h>

#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "fabric/net/address.h"
#include "fabric/wire/proof.h"

namespace caravan::fabric {
namespace {

constexpr std::size_t kMaxPlanBytes = std::size_t{64} << 10U;
constexpr int kShortestTimeout = 500;
constexpr int kLongestTimeout = 600'000;

std::optional<Format> format_of(std::string_view wire) {
  if (wire == "f32") return Format::as_is;
  if (wire == "f16") return Format::f16;
  if (wire == "q8_0") return Format::q8_0;
  return {};
}

/// What can be connected to.
Result<void> check_target(const std::string& text, const std::string& what) {
  const auto address = parse_address(text, what);
  if (!address) return address.error();
  if (address->port() == 0)
    return Error{Code::invalid, fmt::format("{} '{}' has port 0", what, text),
                 "say where the worker listens"};
  return {};
}

Result<Stage> read_stage(const Json& object, const std::string& where) {
  Fields fields(object, where);
  Stage stage;
  stage.name = fields.text("name");
  stage.address = fields.text("address");
  stage.peer = fields.text_or("peer", "");
  const auto key = parse_key(fields.text("key"));
  const int threads = fields.small_or("threads", 0);
  stage.peers = fields.texts_or_none("peers", kMaxPlanStages);
  const bool one_line =
      printable(stage.name) == stage.name && stage.name.find_first_of("\n\t") == std::string::npos;
  if (fields.ok() && (stage.name.empty() || stage.name.size() > kMaxName || !one_line))
    fields.fail("name", fmt::format("has to be 1 to {} printable bytes", kMaxName));
  if (!key) fields.fail("key", "has to be 64 hexadecimal digits");
  if (static_cast<std::uint32_t>(threads) > kMaxThreads)
    fields.fail("threads", fmt::format("has to be at most {}", kMaxThreads));
  if (!fields.ok()) return fields.error();
  if (auto checked = check_target(stage.address, where + ".address"); !checked) return checked.error();
  auto others = stage.peers;
  others.push_back(stage.peer);
  for (const auto& other : others) {
    if (other.empty()) continue;
    if (auto checked = check_target(other, where + ".peer"); !checked) return checked.error();
  }
  stage.key = *key;
  stage.threads = static_cast<unsigned>(threads);
  return stage;
}

}  // namespace

const std::string& Plan::way(std::size_t from, std::size_t to) const {
  static const std::string none;
  if (from == to) return none;
  const auto& own = stages[from].peers;
  if (to < own.size() && !own[to].empty()) return own[to];
  return to == from + 1 ? stages[to].peer : none;
}

bool Plan::all_reach_all() const {
  for (std::size_t from = 0; from < stages.size(); ++from) {
    for (std::size_t to = 0; to < stages.size(); ++to) {
      if (from != to && way(from, to).empty()) return false;
    }
  }
  return true;
}

Result<Plan> parse_plan(std::string_view text) {
  auto json = parse_json(text, kMaxPlanBytes);
  if (!json) return with_context(json.error(), "plan");
  Fields fields(*json, "plan");
  Plan plan;
  const auto head = fields.text_or("head", "master");
  const auto wire = fields.text_or("wire", "f32");
  const auto timeout = fields.small_or("timeout_ms", static_cast<int>(plan.timeout.count()));
  const auto model = fields.text_or("model", "");
  const auto manifests = fields.text_or("manifests", "");
  const auto stages = fields.list("stages");
  if (head != "master" && head != "worker") fields.fail("head", "has to be 'master' or 'worker'");
  const auto format = format_of(wire);
  if (!format) fields.fail("wire", "has to be 'f32', 'f16' or 'q8_0'");
  if (timeout < kShortestTimeout || timeout > kLongestTimeout)
    fields.fail("timeout_ms", fmt::format("has to be {} to {}", kShortestTimeout, kLongestTimeout));
  if (stages.empty() || stages.size() > kMaxPlanStages)
    fields.fail("stages", fmt::format("has to have 1 to {} entries", kMaxPlanStages));
  if (!model.empty() && manifests.empty()) fields.fail("manifests", "has to be there with a model");
  if (!fields.ok()) return fields.error();
  plan.model = model;
  plan.manifests = manifests;
  plan.head = head == "master" ? HeadPlace::master : HeadPlace::worker;
  plan.wire = *format;
  plan.timeout = std::chrono::milliseconds(timeout);
  plan.stages.reserve(stages.size());
  for (std::size_t i = 0; i < stages.size(); ++i) {
    auto stage = read_stage(stages[i], fmt::format("plan.stages[{}]", i));
    if (!stage) return stage.error();
    if (!stage->peers.empty() && stage->peers.size() != stages.size())
      return Error{Code::invalid,
                   fmt::format("plan.stages[{}].peers does not have an entry for each stage", i),
                   "write \"\" for those that it does not reach"};
    plan.stages.push_back(std::move(*stage));
  }
  return plan;
}

Result<Plan> read_plan(const std::filesystem::path& file) {
  struct stat status = {};
  if (stat(file.c_str(), &status) != 0) return errno_error("the plan's file cannot be read", errno);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return Error{Code::invalid, "the plan's file holds keys and others may read it", "give it mode 0600"};
  auto text = read_file(file, Bytes{kMaxPlanBytes});
  if (!text) return text.error();
  return parse_plan(*text);
}

}  // namespace caravan::fabric
