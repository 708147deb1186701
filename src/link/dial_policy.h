// Whom to dial, where, and when again: towards one session with every other member, at addresses that come
// and go. Pure.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"
#include "link/neighbours.h"

namespace caravan::link {

struct DialTimes {
  std::chrono::milliseconds first{300};       ///< after a device is known and not linked
  std::chrono::milliseconds courtesy{1'500};  ///< longer for the device with the higher id: one dials first
  std::chrono::milliseconds again{1'000};     ///< after a failure; doubled with each
  std::chrono::milliseconds longest{30'000};
};

/// One address to try. `device` is empty for an address that a person gave: whoever is there.
struct Dial {
  std::string device;
  LinkAddress address;

  auto operator<=>(const Dial&) const = default;
};

/// One event loop. At most one dial to a device is under way at a time; its addresses are tried in turn.
class DialPolicy {
 public:
  explicit DialPolicy(std::string self, DialTimes times = {}) : self_(std::move(self)), times_(times) {}

  /// The other members. Who is not among them any more is not dialled any more.
  void set_members(const std::set<std::string>& members, TimePoint now);
  /// Where a device may be, the best first. A new first address is tried at once.
  void set_addresses(const std::string& device, std::vector<LinkAddress> addresses, TimePoint now);
  /// Given by a person: dialled whenever nobody who was found there is linked.
  void add_by_hand(const LinkAddress& address, TimePoint now);
  void linked(const std::string& device);
  void lost(const std::string& device, TimePoint now);

  /// What to dial now. Each has to be answered by done().
  std::vector<Dial> due(TimePoint now);
  /// `reached`: the device that answered, "" for none.
  void done(const Dial& dial, const std::string& reached, TimePoint now);
  std::optional<TimePoint> next_deadline() const;

 private:
  struct Goal {
    std::vector<LinkAddress> addresses;
    std::size_t next = 0;  ///< of the addresses
    bool is_linked = false;
    bool under_way = false;
    int failures = 0;
    TimePoint at;
    std::string found;  ///< by hand only: the device that is there
  };

  bool wants(const Goal& goal) const;
  void failed(Goal& goal, TimePoint now) const;

  std::string self_;
  DialTimes times_;
  std::map<std::string, Goal> devices_;
  std::map<LinkAddress, Goal> by_hand_;
};

}  // namespace caravan::link
