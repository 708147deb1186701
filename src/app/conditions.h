// What other devices have told of themselves and of the ways between them, as far as it is still worth
// something. Pure: told the time.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"
#include "cluster/condition.h"
#include "link/dial_outcome.h"
#include "link/membership.h"

namespace caravan::app {

/// One event loop. As many devices as the cluster has members; forget() those that are none any more.
class Conditions {
 public:
  explicit Conditions(std::string self) : self_(std::move(self)) {}

  /// `own`: the membership as this device holds it at this moment.
  void heard(const std::string& device, cluster::Condition told, const link::MembershipSummary& own,
             TimePoint now);
  /// This device has tried to connect to a member; of one that has led to a link nothing is kept.
  void tried(const link::DialReport& report, TimePoint now);
  /// There is a session; `came_from`: the address of a device that has dialled us, else empty.
  void linked(const std::string& device, const std::string& came_from);
  void lost(const std::string& device);
  void forget(const std::string& device) { peers_.erase(device); }
  /// `device` has told that it is linked with these.
  void reaches(const std::string& device, std::set<std::string> others);

  /// Nothing (nullptr) for a device that is not linked, or has told nothing. Valid until something is heard.
  const cluster::Condition* now_of(const std::string& device) const;
  /// Also what it told before it was lost.
  const cluster::Condition* last_of(const std::string& device) const;
  /// For how long it holds another membership than this device; nothing: it does not, or is not linked.
  std::optional<Clock::duration> disagrees(const std::string& device, TimePoint now) const;
  /// Linked devices that have a link with it.
  std::vector<std::string> who_reaches(const std::string& device) const;
  /// The address from which it has connected to this device; empty: it never has, or that is its own.
  std::string came_from(const std::string& device) const;

  /// What this device tells of the ways that do not work: its own tries, and those of linked devices.
  std::vector<cluster::Way> ways(TimePoint now) const;
  /// The last try of one device to reach another, as far as anybody has told.
  std::optional<cluster::Way> way(const std::string& from, const std::string& to, TimePoint now) const;

  /// Bytes/s between two devices, the slower direction, whoever has measured it; nothing: nobody has.
  std::optional<double> bandwidth(const std::string& a, const std::string& b) const;
  /// Seconds of each way in the fabric (plan::Cluster): the median of what linked devices tell, and of what
  /// this one knows (`own`); nothing: nobody knows.
  std::optional<double> handling(std::optional<double> own) const;
  void measured(const cluster::MeasuredLink& link);
  /// What this device has measured.
  std::vector<cluster::MeasuredLink> links() const;

 private:
  struct Peer {
    bool linked = false;
    std::optional<cluster::Condition> told;
    TimePoint told_at;
    std::optional<TimePoint> differs_since;
    std::optional<link::DialReport> tried;
    TimePoint tried_at;
    std::string came_from;
    std::set<std::string> reaches;
    std::optional<cluster::MeasuredLink> measured;  ///< by this device
  };
  const Peer* find(const std::string& device) const;

  std::string self_;
  std::map<std::string, Peer> peers_;
};

}  // namespace caravan::app
