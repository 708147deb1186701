#include "cluster/plain_worker.h"

#include <algorithm>
#include <cmath>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

namespace caravan::cluster {
namespace {

constexpr double kLongestRoundTrip = 60;

bool is_address(const std::string& host) {
  boost::system::error_code failure;
  boost::asio::ip::make_address(host, failure);
  return !failure && host.size() <= 64;
}

}  // namespace

std::string name_of(const PlainWorker& worker) {
  const bool is_v6 = worker.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", worker.host, is_v6 ? "]" : "", worker.port);
}

const PlainWorker* find_plain(const std::vector<PlainWorker>& workers, std::string_view name) {
  const auto found = std::find_if(workers.begin(), workers.end(),
                                  [&](const PlainWorker& worker) { return name_of(worker) == name; });
  return found == workers.end() ? nullptr : &*found;
}

Json to_json(const std::vector<PlainWorker>& workers) {
  Json list = Json::array();
  for (const PlainWorker& worker : workers) {
    list.push_back({{"host", worker.host},
                    {"port", worker.port},
                    {"memory", worker.memory.count},
                    {"round_trip", worker.round_trip}});
  }
  return list;
}

std::vector<PlainWorker> read_plain_workers(Fields& fields, const char* field) {
  const std::vector<Json> list = fields.list_or_none(field);
  if (list.size() > kMostPlainWorkers) fields.fail(field, "must be at most 16 plain workers");
  std::vector<PlainWorker> workers;
  workers.reserve(list.size());
  for (const Json& entry : list) {
    Fields one(entry, fmt::format("{}[{}]", field, workers.size()));
    const int port = one.small("port");
    PlainWorker worker{one.text("host"), static_cast<std::uint16_t>(port), Bytes{one.whole("memory")},
                       one.number("round_trip")};
    if (!is_address(worker.host)) one.fail("host", "must be an IP address");
    if (port < 1 || port > 65535) one.fail("port", "must be from 1 to 65535");
    if (!(worker.round_trip >= 0 && worker.round_trip <= kLongestRoundTrip))
      one.fail("round_trip", "must be from 0 to 60 seconds");
    if (find_plain(workers, name_of(worker)) != nullptr) one.fail("host", "must not be there twice");
    if (!one.ok()) fields.fail(one.error());
    workers.push_back(std::move(worker));
  }
  return workers;
}

}  // namespace caravan::cluster
