#include "cli/node_report.h"

#include <limits>

#include <gmock/gmock.h>

namespace caravan::cli {
namespace {

using ::testing::ElementsAre;

cluster::NodeState idle() {
  cluster::NodeState state;
  state.device = "pixel-8";
  state.memory = mebibytes(2048);
  state.cores = 8;
  state.api = "http://127.0.0.1:8080";
  state.engine_build = "8c17130b";
  return state;
}

cluster::NodeState master(cluster::Phase phase, double progress) {
  cluster::NodeState state = idle();
  state.role = cluster::Role::master;
  state.phase = phase;
  state.progress = progress;
  state.model = "smollm2-135m";
  return state;
}

TEST(NodeReport, SaysWhatTheNodeDoes) {
  using cluster::Phase;
  EXPECT_EQ(activity_of(idle()), "waits for a model");
  EXPECT_EQ(activity_of(master(Phase::starting, 0)), "starts smollm2-135m");
  EXPECT_EQ(activity_of(master(Phase::loading, 0.45)), "loads smollm2-135m: 45%");
  EXPECT_EQ(activity_of(master(Phase::ready, 1)), "serves smollm2-135m");
  EXPECT_EQ(activity_of(master(Phase::stopping, 1)), "stops smollm2-135m");
  cluster::NodeState worker = idle();
  worker.role = cluster::Role::worker;
  worker.phase = Phase::ready;
  EXPECT_EQ(activity_of(worker), "worker, ready");
  worker.error = Error{Code::unavailable, "the RPC server ended", "start it again"};
  EXPECT_EQ(activity_of(worker), "failed: the RPC server ended");
}

TEST(NodeReport, LinesHaveWhatAPersonLooksFor) {
  EXPECT_THAT(lines_of(idle()),
              ElementsAre("pixel-8: waits for a model", "  API     http://127.0.0.1:8080/v1",
                          "  memory  2.00 GiB for the engine, 8 cores", "  engine  build 8c17130b"));
  cluster::NodeState failed = idle();
  failed.error = Error{Code::unavailable, "m", "do this"};
  EXPECT_EQ(lines_of(failed).at(1), "  hint    do this");
}

TEST(NodeReport, HeartbeatsAndSmallStepsAreNoNews) {
  using cluster::Phase;
  EXPECT_FALSE(is_news(idle(), idle()));
  cluster::NodeState traffic = master(Phase::ready, 1);
  traffic.traffic.push_back({"phone-2", Bytes{1}, Bytes{2}});
  EXPECT_FALSE(is_news(master(Phase::ready, 1), traffic));
  EXPECT_FALSE(is_news(master(Phase::loading, 0.41), master(Phase::loading, 0.49)));
  EXPECT_TRUE(is_news(master(Phase::loading, 0.49), master(Phase::loading, 0.51)));
  EXPECT_TRUE(is_news(idle(), master(Phase::starting, 0)));
  const double odd = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(is_news(master(Phase::loading, odd), master(Phase::loading, odd)));
}

}  // namespace
}  // namespace caravan::cli
