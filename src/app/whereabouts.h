// Where the members of the cluster may be reached: where links came up before, kept on disk, and what other
// members tell.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/files.h"
#include "cluster/condition.h"
#include "link/known_addresses.h"

namespace caravan::app {

/// One loop. Blocks for one small file.
class Whereabouts {
 public:
  static constexpr std::size_t kMostTried = 16;  ///< addresses of one device

  /// Begins anew when the file cannot be read: what is known of addresses only saves time.
  explicit Whereabouts(fs::path file);

  /// A link to the device came up there, now.
  void used(const std::string& device, const link::LinkAddress& address);
  /// What this member tells now, in place of what it told before. True when it is something else. Only
  /// addresses count, no names: others do not decide what is looked up here.
  bool told(const std::string& teller, std::vector<cluster::Place> places);
  void keep_only(const std::set<std::string>& members);

  /// The one used last comes first.
  std::vector<link::LinkAddress> known(const std::string& device) const;
  /// `heard` from the device itself, known, told: in this order, each once.
  std::vector<link::LinkAddress> all(const std::string& device, std::vector<link::LinkAddress> heard) const;

 private:
  fs::path file_;
  link::KnownAddresses known_;
  std::map<std::string, std::vector<cluster::Place>> told_;  ///< by whom
};

}  // namespace caravan::app
