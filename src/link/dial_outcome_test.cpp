#include "link/dial_outcome.h"

#include <boost/asio/error.hpp>
#include <gtest/gtest.h>

#include "link/link_test_bench.h"

namespace caravan::link {
namespace {

using testing::LinkBench;
namespace error = asio::error;

TEST(DialOutcome, OfWhatTheSystemSays) {
  EXPECT_EQ(outcome_of({}), DialOutcome::connected);
  EXPECT_EQ(outcome_of(error::connection_refused), DialOutcome::refused);
  EXPECT_EQ(outcome_of(error::host_unreachable), DialOutcome::unreachable);
  EXPECT_EQ(outcome_of(error::network_unreachable), DialOutcome::unreachable);
  EXPECT_EQ(outcome_of(error::timed_out), DialOutcome::timed_out);
  EXPECT_EQ(outcome_of(error::operation_aborted), DialOutcome::timed_out) << "closed when its time was up";
}

TEST(DialOutcome, NamesGoThereAndBack) {
  for (const DialOutcome outcome : {DialOutcome::connected, DialOutcome::refused, DialOutcome::timed_out,
                                    DialOutcome::unreachable, DialOutcome::turned_away})
    EXPECT_EQ(dial_outcome_from(name_of(outcome)), outcome);
  EXPECT_FALSE(dial_outcome_from("exploded"));
}

TEST(DialOutcome, TheLinkReportsEachTry) {
  LinkBench::run([](LinkBench& bench) -> asio::awaitable<void> {
    bench.open();
    const int port = bench.worker.link->port();
    const auto linked = co_await bench.connect();
    EXPECT_TRUE(linked.get() != nullptr);
    const std::string stranger = "somebody-else";
    const auto other = co_await bench.master.link->connect("127.0.0.1", port, stranger);
    EXPECT_FALSE(other.ok());
    bench.worker.link.reset();
    const auto nobody = co_await bench.master.link->connect("127.0.0.1", port, stranger);
    EXPECT_FALSE(nobody.ok());
    const auto& reports = bench.master.dialled;
    EXPECT_EQ(reports.size(), 3U);
    if (reports.size() != 3) co_return;
    EXPECT_EQ(reports[0].outcome, DialOutcome::connected);
    EXPECT_FALSE(reports[0].error);
    EXPECT_EQ(reports[1].outcome, DialOutcome::turned_away);
    EXPECT_EQ(reports[1].device, stranger);
    EXPECT_EQ(reports[1].port, port);
    EXPECT_TRUE(reports[1].error);
    EXPECT_EQ(reports[2].outcome, DialOutcome::refused);
  });
}

}  // namespace
}  // namespace caravan::link
