#include "app/plain_workers.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/rpc_probe.h"

namespace caravan::app {
namespace {

constexpr std::chrono::seconds kPatience{2};

double decode_speed(const plan::DeviceProfile& device) {
  double best = 0;
  for (const auto& [type, speed] : device.kernels) best = std::max(best, speed.decode);
  return best;
}

}  // namespace

boost::asio::awaitable<std::vector<cluster::PlainWorker>> answering_workers(
    boost::asio::any_io_executor executor, std::vector<cluster::PlainWorker> workers,
    std::vector<std::string> busy) {
  std::vector<cluster::PlainWorker> there;
  there.reserve(workers.size());
  for (cluster::PlainWorker& worker : workers) {
    bool answers = std::count(busy.begin(), busy.end(), name_of(worker)) > 0;
    if (!answers) {
      engine::TcpAddress address{worker.host, worker.port};
      const auto version = co_await engine::rpc_hello(executor, std::move(address), kPatience);
      answers = version.ok();
    }
    if (answers) there.push_back(std::move(worker));
  }
  co_return there;
}

void add_plain_workers(plan::Cluster& devices, const std::vector<cluster::PlainWorker>& workers,
                       const std::function<plan::Link(double round_trip)>& link_of) {
  const auto slowest =
      std::min_element(devices.devices.begin(), devices.devices.end(),
                       [](const auto& a, const auto& b) { return decode_speed(a) < decode_speed(b); });
  if (slowest == devices.devices.end()) return;
  const plan::DeviceProfile model = *slowest;
  for (const cluster::PlainWorker& worker : workers) {
    plan::DeviceProfile profile = model;
    profile.name = name_of(worker);
    profile.memory = Bytes{worker.memory.count / 4 * 3};
    profile.accepts = true;
    profile.is_measured = false;
    for (const plan::DeviceProfile& other : devices.devices)
      devices.links[std::minmax(other.name, profile.name)] = link_of(worker.round_trip);
    devices.devices.push_back(std::move(profile));
  }
}

}  // namespace caravan::app
