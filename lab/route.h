// Which stations a packet is for, by its IPv4 destination. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace caravan::lab {

inline constexpr std::size_t kMaxStations = 250;

/// "10.77.0.N" of station N - 1. Every lab has the same addresses: its namespaces are its own.
std::string address_of(std::size_t station);

/// The stations that `packet` from `from` goes to: one, or all others for a broadcast or multicast (RFC 791,
/// RFC 1112). None for what is no IPv4, is cut short, or goes to an address that nobody has.
std::vector<std::size_t> route(std::span<const std::byte> packet, std::size_t from, std::size_t stations);

}  // namespace caravan::lab
