#include "cluster/wish_change.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace caravan::cluster {

bool leaves_others(const WishChange& change) { return change.serve ? change.beside : !change.stop.empty(); }

const std::string& model_of(const WishChange& change) {
  return change.serve ? change.serve->model : change.stop;
}

Result<std::vector<Wish>> make_change(const WishChange& change, std::vector<Wish> wishes) {
  if (!leaves_others(change)) return change.serve ? std::vector{*change.serve} : std::vector<Wish>();
  const auto found = std::find_if(wishes.begin(), wishes.end(),
                                  [&](const Wish& wish) { return wish.model == model_of(change); });
  if (!change.serve) {
    if (found != wishes.end()) wishes.erase(found);
    return wishes;
  }
  if (found != wishes.end()) {
    *found = *change.serve;
    return wishes;
  }
  if (wishes.size() >= kMostWishes) {
    std::vector<std::string> names;
    names.reserve(wishes.size());
    for (const Wish& wish : wishes) names.push_back(wish.model);
    return Error{Code::exhausted,
                 fmt::format("{} models are served already, which is the most: {}", wishes.size(),
                             fmt::join(names, ", ")),
                 "end one of them: `caravan serve --stop MODEL`"};
  }
  wishes.push_back(*change.serve);
  return wishes;
}

bool contains(const std::vector<Wish>& wishes, const WishChange& change) {
  const auto changed = make_change(change, wishes);
  return changed && *changed == wishes;
}

Json to_json(const WishChange& change) {
  Json value{{"version", kWishChangeVersion}};
  if (change.serve) value["serve"] = to_json(*change.serve);
  if (!change.serve) value["stop"] = change.stop;
  return value;
}

Result<WishChange> wish_change_from_json(const Json& value) {
  Fields fields(value, "ask");
  const int version = fields.small("version");
  if (fields.ok() && version != kWishChangeVersion) {
    return Error{
        Code::incompatible,
        fmt::format("a request of version {}, this Caravan knows version {}", version, kWishChangeVersion),
        "run the same Caravan on every device"};
  }
  WishChange change;
  if (const Json* serve = fields.object_or_none("serve")) {
    auto wish = wish_from_json(*serve);
    if (!wish) return wish.error();
    change.serve = std::move(*wish);
    change.beside = true;
  } else {
    change.stop = fields.text("stop");
    if (change.stop.empty() || change.stop.size() > kMostTextBytes)
      fields.fail("stop", "must be the name of a model");
  }
  if (!fields.ok()) return fields.error();
  return change;
}

}  // namespace caravan::cluster
