// Plain workers for the planner: which of them answer, and what they are taken for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "cluster/plain_worker.h"
#include "plan/cluster.h"

namespace caravan::app {

/// Those that say hello, one after the other, each within two seconds. Those called as in `busy` are taken to
/// be there: a stock RPC server serves one client at a time, and that is us.
boost::asio::awaitable<std::vector<cluster::PlainWorker>> answering_workers(
    boost::asio::any_io_executor executor, std::vector<cluster::PlainWorker> workers,
    std::vector<std::string> busy);

/// Adds them to what a plan may use. Nobody can measure how fast they are: each is taken for as fast as the
/// slowest device, with three quarters of the memory that it offers, since it knows nothing of what else
/// needs memory there. Pure.
void add_plain_workers(plan::Cluster& devices, const std::vector<cluster::PlainWorker>& workers,
                       const std::function<plan::Link(double round_trip)>& link_of);

}  // namespace caravan::app
