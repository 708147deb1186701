#include "cluster/card.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace caravan::cluster {

bool NodeCard::holds(const std::string& file, Bytes size) const {
  return std::find(models.begin(), models.end(), HeldModel{file, size}) != models.end();
}

Json to_json(const NodeCard& card) {
  Json value{{"version", kCardVersion}, {"engine_build", card.engine_build}, {"models", Json::array()}};
  for (const HeldModel& model : card.models)
    value["models"].push_back({{"file", model.file}, {"size", model.size.count}});
  if (card.fabric) value["fabric"] = true;
  // A profile is written as the planner's devices file has it: one format, one reader.
  if (card.profile) value["devices"] = to_json(plan::Cluster{{*card.profile}, {}, {}})["devices"];
  return value;
}

Result<NodeCard> card_from_json(const Json& value) {
  Fields fields(value, "card");
  const int version = fields.small("version");
  if (fields.ok() && version != kCardVersion) {
    return Error{
        Code::incompatible,
        fmt::format("a device's card of version {}, this Caravan knows version {}", version, kCardVersion),
        "run the same Caravan on every device"};
  }
  NodeCard card;
  card.engine_build = fields.text_or("engine_build", "");
  card.fabric = fields.flag_or("fabric", false);
  const std::vector<Json> models = fields.list_or_none("models");
  if (models.size() > kMostHeldModels) fields.fail("models", "must be at most 256");
  if (!fields.ok()) return fields.error();
  card.models.reserve(models.size());
  for (const Json& item : models) {
    Fields model(item, "models[]");
    card.models.push_back({model.text("file"), Bytes{model.whole("size")}});
    if (!model.ok()) return model.error();
  }
  const std::vector<Json> devices = fields.list_or_none("devices");
  if (!fields.ok()) return fields.error();
  if (devices.empty()) return card;
  auto cluster = plan::cluster_from_json({{"devices", devices}});
  if (!cluster) return cluster.error();
  if (cluster->devices.size() != 1) return Error{Code::invalid, "card: 'devices' must be one device", ""};
  card.profile = std::move(cluster->devices.front());
  return card;
}

}  // namespace caravan::cluster
