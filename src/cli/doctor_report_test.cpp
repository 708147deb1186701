#include "cli/doctor_report.h"

#include <gmock/gmock.h>

namespace caravan::cli {
namespace {

using doctor::Status;

TEST(DoctorReport, WhatIsWellTakesOneLine) {
  EXPECT_EQ(text_of({"battery", doctor::ok("80 %, charging")}),
            "ok       battery              80 %, charging\n");
}

TEST(DoctorReport, TroubleComesWithWhyAndCure) {
  const doctor::Finding finding{
      Status::problem, "TCP port 8080 is taken\x1b[2J", "clients look there", {"kill 7", "or not"}};
  EXPECT_EQ(text_of({"api-port", finding}),
            "problem  api-port             TCP port 8080 is taken?[2J\n"
            "         why   clients look there\n"
            "         cure  kill 7\n"
            "               or not\n");
}

TEST(DoctorReport, SummaryAndList) {
  doctor::Tally tally;
  for (const Status status : {Status::ok, Status::problem}) tally.add(status);
  EXPECT_EQ(summary_of(tally, std::chrono::milliseconds(2100)), "2 checks in 2.1 s: 1 problem, 1 ok\n");
  EXPECT_EQ(list_of({{"clock", "date and time"}, {"battery-optimisation", "sleep"}}),
            "clock                date and time\nbattery-optimisation sleep\n");
}

}  // namespace
}  // namespace caravan::cli
