// The devices that beacons have told of, and where they were heard: bounded however many are claimed to
// exist. Pure.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"
#include "link/beacon.h"

namespace caravan::link {

/// Where a device's link port can be reached.
struct LinkAddress {
  std::string host;  ///< an IP address, of link-local IPv6 with its interface: "fe80::1%wlan0"
  std::uint16_t port = 0;

  auto operator<=>(const LinkAddress&) const = default;
};

struct HeardAddress {
  LinkAddress address;
  TimePoint heard;
  bool proved = false;  ///< a link to this device came up there
};

struct Neighbour {
  std::string device;  ///< id
  std::string name;    ///< as it says
  ClusterTag cluster{};
  bool pairing_open = false;
  TimePoint heard;
  /// In the order in which to try them: proved ones first, then the one heard last.
  std::vector<HeardAddress> addresses;
};

struct NeighbourLimits {
  std::size_t devices = 128;
  std::size_t addresses = 8;              ///< of each
  std::size_t devices_of_host = 16;       ///< that one IPv4 address, or one /64 of IPv6, may tell of
  std::chrono::milliseconds age{35'000};  ///< three beacons and a bit
};

enum class Heard {
  appeared,  ///< a device that was not there
  changed,   ///< another address, name, cluster or pairing
  repeated,  ///< nothing new
  ignored,   ///< one's own, or there is no room for it
};

class NeighbourTable {
 public:
  /// `self`: id of this device, whose own beacons come back to it.
  explicit NeighbourTable(std::string self, NeighbourLimits limits = {});

  /// Ids that strangers can never push out of a full table: those of one's own cluster.
  void set_members(std::set<std::string> members) { members_ = std::move(members); }

  /// `host`: where the datagram came from.
  Heard heard(const Beacon& beacon, const std::string& host, TimePoint now);
  /// A link to the device came up at this address: it is tried first, and no claimed address pushes it out.
  void proved(const std::string& device, const LinkAddress& address, TimePoint now);
  /// Nobody, or somebody else, was there: the address goes, and comes back when it is heard again.
  void failed(const std::string& device, const LinkAddress& address);

  /// Takes out what was not heard for too long; ids of the devices that went with it.
  std::vector<std::string> expire(TimePoint now);
  /// When expire() will have something to do; nothing while the table is empty.
  std::optional<TimePoint> next_deadline() const;

  /// By id.
  std::vector<Neighbour> list() const;
  /// Nothing (nullptr) for an unknown one; valid until the table changes.
  const Neighbour* find(const std::string& device) const;
  std::size_t size() const { return table_.size(); }

 private:
  struct Entry {
    Neighbour neighbour;
    std::string group;  ///< of the host that told of it first
  };
  bool make_room(const std::string& device, const std::string& group);
  bool note_address(Neighbour& neighbour, const LinkAddress& address, TimePoint now) const;

  std::string self_;
  NeighbourLimits limits_;
  std::set<std::string> members_;
  std::map<std::string, Entry> table_;
};

}  // namespace caravan::link
