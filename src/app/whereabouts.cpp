#include "app/whereabouts.h"

#include <algorithm>
#include <utility>

#include <boost/asio/ip/address.hpp>

#include "app/roster.h"

namespace caravan::app {
namespace {

bool is_address(const std::string& host) {
  boost::system::error_code none;
  (void)boost::asio::ip::make_address(host, none);
  return !none;
}

}  // namespace

Whereabouts::Whereabouts(fs::path file) : file_(std::move(file)) {
  if (auto loaded = link::load_addresses(file_)) known_ = std::move(*loaded);
}

void Whereabouts::used(const std::string& device, const link::LinkAddress& address) {
  known_.used(device, address, seconds_now());
  // Only a hint for later: nothing is lost when it cannot be written.
  (void)link::save_addresses(file_, known_);
}

bool Whereabouts::told(const std::string& teller, std::vector<cluster::Place> places) {
  std::erase_if(places, [](const cluster::Place& place) { return !is_address(place.host); });
  std::vector<cluster::Place>& before = told_[teller];
  if (before == places) return false;
  before = std::move(places);
  return true;
}

void Whereabouts::keep_only(const std::set<std::string>& members) {
  known_.keep_only(members);
  std::erase_if(told_, [&](const auto& entry) { return !members.contains(entry.first); });
}

std::vector<link::LinkAddress> Whereabouts::known(const std::string& device) const {
  const auto entries = known_.of(device);
  std::vector<link::LinkAddress> addresses;
  addresses.reserve(entries.size());
  for (const link::KnownAddress& entry : entries) addresses.push_back(entry.address);
  return addresses;
}

std::vector<link::LinkAddress> Whereabouts::all(const std::string& device,
                                                std::vector<link::LinkAddress> heard) const {
  std::vector<link::LinkAddress> addresses;
  const auto add = [&](link::LinkAddress address) {
    const bool is_new = std::find(addresses.begin(), addresses.end(), address) == addresses.end();
    if (is_new && addresses.size() < kMostTried) addresses.push_back(std::move(address));
  };
  for (link::LinkAddress& address : heard) add(std::move(address));
  for (link::LinkAddress& address : known(device)) add(std::move(address));
  for (const auto& [teller, places] : told_) {
    for (const cluster::Place& place : places) {
      if (place.device == device) add({place.host, static_cast<std::uint16_t>(place.port)});
    }
  }
  return addresses;
}

}  // namespace caravan::app
