// The addresses at which links to the cluster's devices came up, kept on disk: where no beacon gets through,
// and after a restart, they are tried first.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "link/neighbours.h"

namespace caravan::link {

struct KnownAddress {
  LinkAddress address;
  std::uint64_t used = 0;  ///< when a link was last up there, seconds since 1970
};

class KnownAddresses {
 public:
  static constexpr std::size_t kMaxDevices = 64;
  static constexpr std::size_t kMaxAddresses = 8;  ///< of each device

  /// Code::invalid names the wrong field; Code::incompatible for a newer version.
  static Result<KnownAddresses> parse(std::string_view json);
  std::string json() const;

  /// A link to the device came up there. `now`: seconds since 1970. With too many, the longest unused goes.
  void used(const std::string& device, const LinkAddress& address, std::uint64_t now);
  /// Forgets devices that are not among these: those that were removed from the cluster.
  void keep_only(const std::set<std::string>& devices);
  void forget(const std::string& device, const LinkAddress& address);

  /// The one used last comes first; none for an unknown device.
  std::vector<KnownAddress> of(const std::string& device) const;
  std::size_t size() const { return devices_.size(); }

 private:
  std::map<std::string, std::vector<KnownAddress>> devices_;
};

/// `addresses.json` of Caravan's folder. A missing file has no addresses; of others the errors of parse(),
/// with the path: the caller may start anew, since nothing is lost but time. Both block for one small file.
fs::path addresses_path();
Result<KnownAddresses> load_addresses(const fs::path& path);
Result<void> save_addresses(const fs::path& path, const KnownAddresses& addresses);

}  // namespace caravan::link
