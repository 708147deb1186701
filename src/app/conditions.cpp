#include "app/conditions.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace caravan::app {
namespace {

constexpr std::size_t kMostWhy = 200;

int seconds_in(Clock::duration time) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(time).count());
}

cluster::Way way_of(const std::string& self, const link::DialReport& report, Clock::duration age) {
  const bool is_v6 = report.host.find(':') != std::string::npos;
  const std::string host = is_v6 ? "[" + report.host + "]" : report.host;
  return {self,
          report.device,
          fmt::format("{}:{}", host, report.port),
          report.outcome,
          report.error ? report.error->message.substr(0, kMostWhy) : "",
          seconds_in(age)};
}

std::optional<double> slower(const cluster::MeasuredLink& link) {
  const double rate = std::min(link.upload, link.download);
  return rate > 0 ? std::optional(rate) : std::nullopt;
}

}  // namespace

const Conditions::Peer* Conditions::find(const std::string& device) const {
  const auto found = peers_.find(device);
  return found == peers_.end() ? nullptr : &found->second;
}

void Conditions::heard(const std::string& device, cluster::Condition told, const link::MembershipSummary& own,
                       TimePoint now) {
  Peer& peer = peers_[device];
  const bool differs = told.membership_version > 0 &&
                       (told.membership_version != own.version || told.membership_digest != own.digest);
  if (!differs) peer.differs_since.reset();
  if (differs && !peer.differs_since) peer.differs_since = now;
  // Then no router stands in between. Later it may have another address, and that would look like one.
  const bool is_its_own = std::any_of(told.addresses.begin(), told.addresses.end(),
                                      [&](const auto& own_one) { return own_one.address == peer.came_from; });
  if (is_its_own) peer.came_from.clear();
  peer.told = std::move(told);
  peer.told_at = now;
}

void Conditions::tried(const link::DialReport& report, TimePoint now) {
  if (report.device.empty()) return;
  Peer& peer = peers_[report.device];
  peer.tried.reset();
  if (report.outcome == link::DialOutcome::connected) return;
  peer.tried = report;
  peer.tried_at = now;
}

void Conditions::linked(const std::string& device, const std::string& came_from) {
  Peer& peer = peers_[device];
  peer.linked = true;
  peer.tried.reset();
  if (!came_from.empty()) peer.came_from = came_from;
}

void Conditions::lost(const std::string& device) {
  const auto found = peers_.find(device);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  peer.linked = false;
  peer.differs_since.reset();
  peer.reaches.clear();
}

void Conditions::reaches(const std::string& device, std::set<std::string> others) {
  peers_[device].reaches = std::move(others);
}

std::vector<std::string> Conditions::who_reaches(const std::string& device) const {
  std::vector<std::string> devices;
  for (const auto& [id, peer] : peers_) {
    if (peer.linked && peer.reaches.contains(device)) devices.push_back(id);
  }
  return devices;
}

const cluster::Condition* Conditions::now_of(const std::string& device) const {
  const Peer* peer = find(device);
  return peer != nullptr && peer->linked && peer->told ? &*peer->told : nullptr;
}

const cluster::Condition* Conditions::last_of(const std::string& device) const {
  const Peer* peer = find(device);
  return peer != nullptr && peer->told ? &*peer->told : nullptr;
}

std::optional<Clock::duration> Conditions::disagrees(const std::string& device, TimePoint now) const {
  const Peer* peer = find(device);
  if (peer == nullptr || !peer->linked || !peer->differs_since) return std::nullopt;
  return now - *peer->differs_since;
}

std::string Conditions::came_from(const std::string& device) const {
  const Peer* peer = find(device);
  return peer == nullptr ? "" : peer->came_from;
}

std::vector<cluster::Way> Conditions::ways(TimePoint now) const {
  std::vector<cluster::Way> all;
  for (const auto& [device, peer] : peers_) {
    if (peer.tried && !peer.linked) all.push_back(way_of(self_, *peer.tried, now - peer.tried_at));
  }
  for (const auto& [device, peer] : peers_) {
    if (!peer.linked || !peer.told) continue;
    for (cluster::Way way : peer.told->ways) {
      // What it has heard from others they tell by themselves, to whom they reach.
      if (way.from != device) continue;
      way.age += seconds_in(now - peer.told_at);
      all.push_back(std::move(way));
    }
  }
  if (all.size() > cluster::kMostWays) all.resize(cluster::kMostWays);
  return all;
}

std::optional<cluster::Way> Conditions::way(const std::string& from, const std::string& to,
                                            TimePoint now) const {
  std::optional<cluster::Way> newest;
  const auto consider = [&](cluster::Way way, Clock::duration since) {
    way.age += seconds_in(since);
    if (way.from == from && way.to == to && (!newest || way.age < newest->age)) newest = std::move(way);
  };
  if (const Peer* peer = find(to); from == self_ && peer != nullptr && peer->tried)
    consider(way_of(self_, *peer->tried, now - peer->tried_at), Clock::duration::zero());
  for (const auto& [device, peer] : peers_) {
    if (!peer.linked || !peer.told) continue;
    for (const cluster::Way& way : peer.told->ways) consider(way, now - peer.told_at);
  }
  return newest;
}

std::optional<double> Conditions::bandwidth(const std::string& a, const std::string& b) const {
  for (const auto& [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (*from == self_) {
      const Peer* peer = find(*to);
      if (peer != nullptr && peer->measured) return slower(*peer->measured);
      continue;
    }
    const cluster::Condition* told = now_of(*from);
    if (told == nullptr) continue;
    for (const cluster::MeasuredLink& link : told->links) {
      if (link.device == *to) return slower(link);
    }
  }
  return std::nullopt;
}

std::optional<double> Conditions::handling(std::optional<double> own) const {
  std::vector<double> all;
  if (own) all.push_back(*own);
  for (const auto& [device, peer] : peers_) {
    if (peer.linked && peer.told && peer.told->handling) all.push_back(*peer.told->handling);
  }
  if (all.empty()) return std::nullopt;
  std::sort(all.begin(), all.end());
  return all[(all.size() - 1) / 2];
}

void Conditions::measured(const cluster::MeasuredLink& link) { peers_[link.device].measured = link; }

std::vector<cluster::MeasuredLink> Conditions::links() const {
  std::vector<cluster::MeasuredLink> all;
  for (const auto& [device, peer] : peers_) {
    if (peer.measured && all.size() < cluster::kMostMeasuredLinks) all.push_back(*peer.measured);
  }
  return all;
}

}  // namespace caravan::app
