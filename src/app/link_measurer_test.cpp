#include "app/link_measurer.h"

#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace caravan::app {
namespace {

namespace asio = boost::asio;

/// Two devices on one loop; what would cross the link crosses a plain connection.
struct Pair {
  Pair()
      : smaller(loop.get_executor(), "a", port([this](const std::string&) { return way_to_greater(); })),
        greater(loop.get_executor(), "b",
                port([](const std::string&) -> Result<std::unique_ptr<link::Tunnel>> {
                  return Error{Code::bug, "the greater id does not measure", ""};
                })) {}

  LinkMeasurerPort port(std::function<Result<std::unique_ptr<link::Tunnel>>(const std::string&)> tunnel) {
    return {std::move(tunnel), [this]() { return quiet; },
            [this](const cluster::MeasuredLink& link) {
              measured.push_back(link);
              loop.stop();
            }};
  }

  Result<std::unique_ptr<link::Tunnel>> way_to_greater() {
    const auto target = greater.answer("a");
    if (!target) {
      loop.stop();
      return target.error();
    }
    return link::Tunnel::open(loop.get_executor(), "127.0.0.1", *target);
  }

  void run() {
    asio::co_spawn(loop, smaller.run(), asio::detached);
    loop.run_for(std::chrono::seconds(20));
  }

  asio::io_context loop{1};
  bool quiet = true;
  std::vector<cluster::MeasuredLink> measured;
  LinkMeasurer smaller;
  LinkMeasurer greater;
};

TEST(LinkMeasurer, MeasuresBothWaysThroughATunnel) {
  Pair pair;
  pair.smaller.linked("b");
  pair.greater.linked("a");
  pair.run();
  ASSERT_EQ(pair.measured.size(), 1U);
  EXPECT_EQ(pair.measured[0].device, "b");
  EXPECT_GT(pair.measured[0].upload, 0);
  EXPECT_GT(pair.measured[0].download, 0);
}

TEST(LinkMeasurer, AnswersNobodyWhileSomethingElseGoesOn) {
  Pair pair;
  pair.greater.linked("a");
  EXPECT_FALSE(pair.greater.answer("stranger").ok());
  pair.quiet = false;
  const auto refused = pair.greater.answer("a");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unavailable);
}

}  // namespace
}  // namespace caravan::app
