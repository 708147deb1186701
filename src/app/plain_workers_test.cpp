#include "app/plain_workers.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <gtest/gtest.h>

namespace caravan::app {
namespace {

namespace asio = boost::asio;
using cluster::PlainWorker;

plan::DeviceProfile device(const std::string& name, double decode) {
  plan::DeviceProfile profile;
  profile.name = name;
  profile.memory = mebibytes(900);
  profile.kernels["q4_k"].decode = decode;
  profile.is_measured = true;
  profile.accepts = false;
  return profile;
}

TEST(PlainWorkers, AreTakenForTheSlowestDeviceWithThreeQuartersOfTheirMemory) {
  plan::Cluster cluster;
  cluster.devices = {device("fast", 9), device("slow", 2)};
  add_plain_workers(cluster, {PlainWorker{"10.0.0.9", 50052, mebibytes(400), 0.004}}, [](double round_trip) {
    return plan::Link{round_trip, 7};
  });
  ASSERT_EQ(cluster.devices.size(), 3U);
  const plan::DeviceProfile& added = cluster.devices.back();
  EXPECT_EQ(added.name, "10.0.0.9:50052");
  EXPECT_EQ(added.memory, mebibytes(300));
  EXPECT_EQ(added.kernels.at("q4_k").decode, 2);
  EXPECT_FALSE(added.is_measured);
  for (const std::size_t other : {0U, 1U}) {
    const auto link = cluster.link(cluster.devices[other], added);
    ASSERT_TRUE(link);
    EXPECT_EQ(link->round_trip, 0.004);
    EXPECT_EQ(link->bandwidth, 7);
  }
}

TEST(PlainWorkers, NobodyIsAddedWhereNoDeviceIsMeasured) {
  plan::Cluster cluster;
  add_plain_workers(cluster, {PlainWorker{"10.0.0.9", 50052, mebibytes(400), 0.004}}, [](double round_trip) {
    return plan::Link{round_trip, 7};
  });
  EXPECT_TRUE(cluster.devices.empty());
}

TEST(PlainWorkers, WhoDoesNotAnswerIsLeftOutAndWhoIsBusyWithUsIsNot) {
  asio::io_context loop;
  asio::ip::tcp::acceptor closed(loop, {asio::ip::address_v4::loopback(), 0});
  const std::uint16_t port = closed.local_endpoint().port();
  closed.close();
  const PlainWorker gone{"127.0.0.1", port, mebibytes(1), 0};
  const PlainWorker busy{"10.0.0.9", 50052, mebibytes(1), 0};
  std::vector<PlainWorker> there;
  asio::co_spawn(loop, answering_workers(loop.get_executor(), {gone, busy}, {"10.0.0.9:50052"}),
                 [&](const std::exception_ptr& failure, std::vector<PlainWorker> found) {
                   EXPECT_FALSE(failure);
                   there = std::move(found);
                 });
  loop.run();
  EXPECT_EQ(there, std::vector<PlainWorker>{busy});
}

}  // namespace
}  // namespace caravan::app
