#include "link/neighbours.h"

#include <algorithm>

#include <boost/asio/ip/address_v6.hpp>

namespace caravan::link {
namespace {

/// Who can be told apart: of IPv6 only the network, since a device may use any address of it.
std::string group_of(const std::string& host) {
  const std::size_t scope = std::min(host.find('%'), host.size());
  boost::system::error_code failure;
  const auto address = boost::asio::ip::make_address_v6(host.substr(0, scope), failure);
  if (failure) return host;
  const auto bytes = address.to_bytes();
  return std::string(bytes.begin(), bytes.begin() + 8) + host.substr(scope);
}

void sort_addresses(Neighbour& neighbour) {
  std::sort(neighbour.addresses.begin(), neighbour.addresses.end(),
            [](const HeardAddress& a, const HeardAddress& b) {
              if (a.proved != b.proved) return a.proved;
              if (a.heard != b.heard) return a.heard > b.heard;
              return a.address < b.address;
            });
}

}  // namespace

NeighbourTable::NeighbourTable(std::string self, NeighbourLimits limits)
    : self_(std::move(self)), limits_(limits) {}

bool NeighbourTable::make_room(const std::string& device, const std::string& group) {
  const bool is_member = members_.count(device) > 0;
  std::map<std::string, std::size_t> strangers;  // by group
  for (const auto& [id, entry] : table_) {
    if (members_.count(id) == 0) ++strangers[entry.group];
  }
  if (!is_member && strangers[group] >= limits_.devices_of_host) return false;
  if (table_.size() < limits_.devices) return true;
  // the longest unheard stranger of whoever tells of most: a flood pushes out itself
  const auto is_stranger = [&](const auto& item) { return members_.count(item.first) == 0; };
  auto victim = table_.end();
  for (auto it = table_.begin(); it != table_.end(); ++it) {
    if (!is_stranger(*it)) continue;
    if (victim == table_.end()) {
      victim = it;
      continue;
    }
    const std::size_t many = strangers[it->second.group];
    const std::size_t most = strangers[victim->second.group];
    const bool is_older = it->second.neighbour.heard < victim->second.neighbour.heard;
    if (many > most || (many == most && is_older)) victim = it;
  }
  if (victim == table_.end()) return false;
  if (!is_member && strangers[victim->second.group] <= strangers[group]) return false;
  table_.erase(victim);
  return true;
}

bool NeighbourTable::note_address(Neighbour& neighbour, const LinkAddress& address, TimePoint now) const {
  for (HeardAddress& known : neighbour.addresses) {
    if (known.address != address) continue;
    known.heard = now;
    sort_addresses(neighbour);
    return false;
  }
  if (neighbour.addresses.size() >= limits_.addresses) {
    if (neighbour.addresses.back().proved) return false;
    neighbour.addresses.pop_back();  // the longest unheard of those that were not proved
  }
  neighbour.addresses.push_back({address, now, false});
  sort_addresses(neighbour);
  return true;
}

Heard NeighbourTable::heard(const Beacon& beacon, const std::string& host, TimePoint now) {
  if (beacon.device == self_) return Heard::ignored;
  const LinkAddress address{host, beacon.link_port};
  auto known = table_.find(beacon.device);
  const bool is_new = known == table_.end();
  if (is_new) {
    const std::string group = group_of(host);
    if (!make_room(beacon.device, group)) return Heard::ignored;
    known = table_.emplace(beacon.device, Entry{{}, group}).first;
  }
  Neighbour& neighbour = known->second.neighbour;
  const bool says_new = neighbour.name != beacon.name || neighbour.cluster != beacon.cluster ||
                        neighbour.pairing_open != beacon.pairing_open;
  neighbour.device = beacon.device;
  neighbour.name = beacon.name;
  neighbour.cluster = beacon.cluster;
  neighbour.pairing_open = beacon.pairing_open;
  neighbour.heard = now;
  const bool is_elsewhere = note_address(neighbour, address, now);
  if (is_new) return Heard::appeared;
  return says_new || is_elsewhere ? Heard::changed : Heard::repeated;
}

void NeighbourTable::proved(const std::string& device, const LinkAddress& address, TimePoint now) {
  const auto known = table_.find(device);
  if (known == table_.end()) return;
  Neighbour& neighbour = known->second.neighbour;
  (void)note_address(neighbour, address, now);
  for (HeardAddress& each : neighbour.addresses) each.proved |= each.address == address;
  sort_addresses(neighbour);
}

void NeighbourTable::failed(const std::string& device, const LinkAddress& address) {
  const auto known = table_.find(device);
  if (known == table_.end()) return;
  std::erase_if(known->second.neighbour.addresses,
                [&](const HeardAddress& each) { return each.address == address; });
}

std::vector<std::string> NeighbourTable::expire(TimePoint now) {
  std::vector<std::string> gone;
  for (auto it = table_.begin(); it != table_.end();) {
    Neighbour& neighbour = it->second.neighbour;
    std::erase_if(neighbour.addresses,
                  [&](const HeardAddress& each) { return each.heard + limits_.age <= now; });
    if (neighbour.heard + limits_.age > now) {
      ++it;
      continue;
    }
    gone.push_back(it->first);
    it = table_.erase(it);
  }
  return gone;
}

std::optional<TimePoint> NeighbourTable::next_deadline() const {
  std::optional<TimePoint> first;
  const auto consider = [&](TimePoint heard) {
    if (!first || heard + limits_.age < *first) first = heard + limits_.age;
  };
  for (const auto& [id, entry] : table_) {
    consider(entry.neighbour.heard);
    for (const HeardAddress& each : entry.neighbour.addresses) consider(each.heard);
  }
  return first;
}

std::vector<Neighbour> NeighbourTable::list() const {
  std::vector<Neighbour> all;
  all.reserve(table_.size());
  for (const auto& [id, entry] : table_) all.push_back(entry.neighbour);
  return all;
}

const Neighbour* NeighbourTable::find(const std::string& device) const {
  const auto known = table_.find(device);
  return known == table_.end() ? nullptr : &known->second.neighbour;
}

}  // namespace caravan::link
