#include "link/discovery.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/multicast.hpp>
#include <gmock/gmock.h>

#include "link/beacon_testing.h"

namespace caravan::link {
namespace {

using std::chrono::milliseconds;
using testing_support::places;
using udp = asio::ip::udp;

constexpr std::chrono::seconds kHang{20};
const std::string kOne = "aaaabbbbccccddddeeeeffff22223333";
const std::string kOther = "bbbbbbbbccccddddeeeeffff22223333";

Beacon self(const std::string& device, const std::string& name) {
  Beacon beacon;
  beacon.device = device;
  beacon.link_port = 7433;
  beacon.name = name;
  return beacon;
}

DiscoveryTiming quick() {
  DiscoveryTiming timing;
  timing.announcer = {milliseconds(50), milliseconds(20), milliseconds(10), milliseconds(10)};
  timing.neighbours.age = milliseconds(400);
  timing.rescan = milliseconds(100);
  timing.arrivals.each = 1e4;  // all of them are one host here
  timing.arrivals.all = 1e4;
  return timing;
}

/// Devices on one loop; `until` is looked at whenever any of them notices something.
struct Bench {
  asio::io_context loop{1};
  BeaconPlaces where = places();
  std::vector<std::unique_ptr<Discovery>> devices;
  int running = 0;
  std::function<bool()> until;

  Discovery& add(const Beacon& beacon, DiscoveryTiming timing) {
    auto socket = BeaconSocket::open(loop.get_executor(), where);
    EXPECT_TRUE(socket.ok()) << socket.error().message;
    devices.push_back(std::make_unique<Discovery>(
        std::move(*socket), loop.get_executor(), beacon, [this] { look(); }, timing));
    ++running;
    asio::co_spawn(loop, devices.back()->run(), [this](const std::exception_ptr& failure) {
      EXPECT_FALSE(failure);
      --running;
    });
    return *devices.back();
  }
  void look() {
    if (until && until()) loop.stop();
  }
  /// True when `condition` came about before the time is up.
  bool wait_for(std::function<bool()> condition) {
    until = std::move(condition);
    loop.restart();
    if (!until()) loop.run_for(kHang);
    return until();
  }
  ~Bench() {
    until = nullptr;
    for (auto& device : devices) device->stop();
    loop.restart();
    loop.run_for(kHang);
    EXPECT_EQ(running, 0) << "stop() ends run()";
  }
};

TEST(Discovery, DevicesFindEachOtherAndNoticeChangesAndDepartures) {
  Bench bench;
  Discovery& one = bench.add(self(kOne, "one"), quick());
  Discovery& other = bench.add(self(kOther, "other"), quick());
  ASSERT_TRUE(bench.wait_for(
      [&] { return one.neighbours().find(kOther) != nullptr && other.neighbours().find(kOne) != nullptr; }));
  EXPECT_EQ(one.neighbours().size(), 1U) << "not itself";
  const Neighbour* seen = one.neighbours().find(kOther);
  EXPECT_EQ(seen->name, "other");
  EXPECT_EQ(seen->addresses.front().address, (LinkAddress{"127.0.0.1", 7433}));

  Beacon open = self("ignored: a device does not change its id", "tablet");
  open.pairing_open = true;
  open.cluster = {9};
  other.announce(open);
  ASSERT_TRUE(bench.wait_for([&] {
    const Neighbour* now = one.neighbours().find(kOther);
    return now != nullptr && now->pairing_open && now->name == "tablet" && now->cluster == ClusterTag{9};
  }));

  other.stop();
  EXPECT_TRUE(bench.wait_for([&] { return one.neighbours().size() == 0; }));
}

TEST(Discovery, WhoLooksIsAnsweredAlthoughTheOtherIsSilent) {
  Bench bench;
  DiscoveryTiming silent = quick();
  silent.announcer.usual = std::chrono::hours(1);
  silent.announcer.repeat = std::chrono::hours(1);
  silent.neighbours.age = std::chrono::hours(2);
  bench.add(self(kOne, "silent"), silent);
  bench.loop.run_for(milliseconds(1));  // its first beacon goes out before anybody listens
  DiscoveryTiming searching = quick();
  searching.neighbours.age = std::chrono::hours(2);
  Discovery& searcher = bench.add(self(kOther, "searcher"), searching);
  searcher.look(true);
  EXPECT_TRUE(bench.wait_for([&] { return searcher.neighbours().find(kOne) != nullptr; }));
  searcher.look(false);
}

TEST(Discovery, NoiseAndFloodsLeaveItWorking) {
  Bench bench;
  Discovery& one = bench.add(self(kOne, "one"), quick());
  udp::socket sender(bench.loop, udp::endpoint(asio::ip::address_v4::loopback(), 0));
  const udp::endpoint to(bench.where.group_v4, bench.where.port);
  sender.set_option(asio::ip::multicast::outbound_interface(asio::ip::address_v4::loopback()));
  boost::system::error_code ignored;
  for (int i = 0; i < 2'000; ++i) {
    Beacon fake = self(kOther, "fake");
    for (std::size_t at = 0; at < 8; ++at) {
      fake.device[at] = static_cast<char>('a' + static_cast<char>((i >> at) & 1));
      fake.device[at + 8] = static_cast<char>('a' + static_cast<char>((i >> (at + 8)) & 1));
    }
    std::string bytes = encode_beacon(fake).value();
    if (i % 2 == 0) bytes[static_cast<std::size_t>(i) % bytes.size()] ^= 0x55;
    (void)sender.send_to(asio::buffer(bytes), to, 0, ignored);
  }
  ASSERT_TRUE(bench.wait_for([&] { return one.neighbours().size() > 0; }));
  EXPECT_LE(one.neighbours().size(), NeighbourLimits{}.devices_of_host);
}

}  // namespace
}  // namespace caravan::link
