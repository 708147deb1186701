// What a person asks to be changed about what should run, and what that makes of the wishes. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/desired.h"

namespace caravan::cluster {

inline constexpr int kWishChangeVersion = 1;

/// Serve a model, or serve one no more. Neither: serve none at all.
struct WishChange {
  std::optional<Wish> serve;
  bool beside = false;  ///< `serve`: the others go on
  std::string stop;     ///< the name of a model, when there is nothing to serve

  bool operator==(const WishChange&) const = default;
};

/// False when it decides about everything that runs.
bool leaves_others(const WishChange& change);
/// The one model that it is about; empty when it is about all.
const std::string& model_of(const WishChange& change);

/// A model that is wished already is replaced where it stands. Nothing changes when it was made before.
/// Code::exhausted when there would be more than kMostWishes.
Result<std::vector<Wish>> make_change(const WishChange& change, std::vector<Wish> wishes);
/// It has been made.
bool contains(const std::vector<Wish>& wishes, const WishChange& change);

/// Of a change that leaves others: {"version", "serve"} or {"version", "stop"}; how it goes to the
/// controller.
Json to_json(const WishChange& change);
/// Code::invalid names the wrong field, Code::incompatible for a newer version.
Result<WishChange> wish_change_from_json(const Json& value);

}  // namespace caravan::cluster
