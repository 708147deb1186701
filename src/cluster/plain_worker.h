// A plain worker: a stock RPC server at an address that a person has named. It has no identity, what crosses
// to it is not encrypted, and anybody on its network can use it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/units.h"

namespace caravan::cluster {

inline constexpr std::uint16_t kPlainWorkerPort =
    50052;  ///< where ggml's RPC server listens unless told otherwise
inline constexpr std::size_t kMostPlainWorkers = 16;

struct PlainWorker {
  std::string host;  ///< an IP address
  std::uint16_t port = kPlainWorkerPort;
  Bytes memory;           ///< that it offered when the person named it
  double round_trip = 0;  ///< seconds, of one question and its answer at that time

  bool operator==(const PlainWorker&) const = default;
};

/// "192.168.1.5:50052" or "[fe80::1]:50052": what a plan calls it. No device id has a colon in it.
std::string name_of(const PlainWorker& worker);
/// Nothing when none of them is called that.
const PlainWorker* find_plain(const std::vector<PlainWorker>& workers, std::string_view name);

Json to_json(const std::vector<PlainWorker>& workers);
/// The list in `field` of an object; absent is empty. Errors go to `fields`.
std::vector<PlainWorker> read_plain_workers(Fields& fields, const char* field);

}  // namespace caravan::cluster
