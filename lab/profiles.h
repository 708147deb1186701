// The networks that the lab knows by name: one table.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "lab/medium.h"

namespace caravan::lab {

struct Profile {
  std::string_view name;
  std::string_view what;  ///< for people, a few words
  Topology topology = Topology::shared;
  Link link;
};

std::span<const Profile> profiles();
/// Null for a name that is not in the table.
const Profile* find_profile(std::string_view name);
/// Says which there are.
Error no_such_profile(std::string_view name);

}  // namespace caravan::lab
