#include "doctor/reachability.h"

#include <gmock/gmock.h>

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Two devices in one network, and the first cannot connect to the second.
PeerObservations one_network() {
  PeerObservations seen;
  seen.peer = "pixel-6";
  seen.to_peer = Attempt::timed_out;
  seen.from_peer = Attempt::timed_out;
  seen.ours = {{"192.168.1.5", 24}};
  seen.theirs = {{"192.168.1.9", 24}};
  return seen;
}

Reach cause(const PeerObservations& seen) { return classify_reachability(seen).cause; }

TEST(Reachability, Reachable) {
  PeerObservations seen = one_network();
  seen.to_peer = Attempt::connected;
  const ReachDiagnosis diagnosis = classify_reachability(seen);
  EXPECT_EQ(diagnosis.cause, Reach::reachable);
  EXPECT_TRUE(diagnosis.works);
  EXPECT_EQ(diagnosis.finding.status, Status::ok);
  EXPECT_THAT(diagnosis.finding.cure, IsEmpty());
}

TEST(Reachability, NotRunning) {
  PeerObservations seen = one_network();
  seen.to_peer = Attempt::refused;
  EXPECT_EQ(cause(seen), Reach::not_running);
  EXPECT_THAT(classify_reachability(seen).finding.cure, Contains("on pixel-6: caravan up"));
  seen.to_peer = Attempt::unreachable;  // nobody has that address any more, others do answer
  seen.we_reach_others = true;
  EXPECT_EQ(cause(seen), Reach::not_running);
}

TEST(Reachability, TurnedAway) {
  PeerObservations seen = one_network();
  seen.to_peer = Attempt::turned_away;
  seen.why_turned_away = "pixel-6 runs engine b1, this cluster b2";
  EXPECT_EQ(cause(seen), Reach::turned_away);
  EXPECT_THAT(classify_reachability(seen).finding.found, HasSubstr("runs engine b1"));
  EXPECT_EQ(classify_reachability(seen).finding.status, Status::problem);
  EXPECT_EQ(name_of(Reach::turned_away), "turned_away");
}

TEST(Reachability, ClientIsolation) {
  PeerObservations seen = one_network();
  seen.router_answers = true;
  for (const Attempt attempt : {Attempt::timed_out, Attempt::unreachable}) {
    seen.to_peer = attempt;
    EXPECT_EQ(cause(seen), Reach::client_isolation);
  }
  EXPECT_THAT(classify_reachability(seen).finding.cure, Contains(HasSubstr("AP isolation")));
  // A device on a cable reaches it, this one on Wi-Fi reaches nobody.
  seen.router_answers = false;
  seen.others_reach_peer = true;
  EXPECT_EQ(cause(seen), Reach::client_isolation);
}

TEST(Reachability, Firewall) {
  PeerObservations heard = one_network();
  heard.beacon_heard = true;
  EXPECT_EQ(cause(heard), Reach::firewall);
  PeerObservations others = one_network();
  others.others_reach_peer = others.we_reach_others = true;
  EXPECT_EQ(cause(others), Reach::firewall);
  PeerObservations silent = one_network();
  silent.we_reach_others = true;
  EXPECT_EQ(cause(silent), Reach::firewall);
  EXPECT_THAT(classify_reachability(silent).finding.cure, Contains(HasSubstr("ufw allow 7433")));
}

TEST(Reachability, Hotspot) {
  PeerObservations seen = one_network();
  seen.peer_hosts_hotspot = true;
  seen.router_answers = true;
  EXPECT_EQ(cause(seen), Reach::hotspot);
  EXPECT_THAT(classify_reachability(seen).finding.found, HasSubstr("pixel-6 is the hotspot"));
  seen.peer_hosts_hotspot = false;
  seen.we_host_hotspot = true;
  EXPECT_THAT(classify_reachability(seen).finding.found, HasSubstr("this device is the hotspot"));
}

TEST(Reachability, Nat) {
  PeerObservations seen = one_network();
  seen.theirs = {{"10.0.0.7", 24}};
  seen.seen_from = "192.168.1.77";
  seen.from_peer = Attempt::connected;
  const ReachDiagnosis diagnosis = classify_reachability(seen);
  EXPECT_EQ(diagnosis.cause, Reach::nat);
  EXPECT_TRUE(diagnosis.works);
  EXPECT_EQ(diagnosis.finding.status, Status::note);
  EXPECT_THAT(diagnosis.finding.found, HasSubstr("only one way"));
  EXPECT_THAT(diagnosis.finding.found, HasSubstr("it comes from 192.168.1.77, but has 10.0.0.7/24"));
  seen.from_peer = Attempt::unknown;  // it came once, and is gone
  EXPECT_EQ(cause(seen), Reach::nat);
  EXPECT_EQ(classify_reachability(seen).finding.status, Status::problem);
}

TEST(Reachability, WrongNetwork) {
  PeerObservations seen = one_network();
  seen.theirs = {{"192.168.178.20", 24}};
  for (const Attempt attempt : {Attempt::timed_out, Attempt::unreachable}) {
    seen.to_peer = attempt;
    EXPECT_EQ(cause(seen), Reach::wrong_network);
  }
  EXPECT_THAT(classify_reachability(seen).finding.found,
              HasSubstr("192.168.178.20/24 there, 192.168.1.5/24 here"));
  seen.theirs = {{"203.0.113.8", 24}};
  seen.to_peer = Attempt::timed_out;
  EXPECT_EQ(cause(seen), Reach::firewall);
  seen.ours.clear();
  EXPECT_EQ(cause(seen), Reach::no_network);
}

TEST(Reachability, OneWayOnly) {
  PeerObservations seen = one_network();
  seen.from_peer = Attempt::connected;
  seen.seen_from = "192.168.1.9";
  EXPECT_EQ(cause(seen), Reach::firewall);
  EXPECT_TRUE(classify_reachability(seen).works);
  seen.peer_hosts_hotspot = true;
  EXPECT_EQ(cause(seen), Reach::hotspot);
}

TEST(Reachability, TooLittleIsKnown) {
  EXPECT_EQ(cause(one_network()), Reach::unclear);
  PeerObservations nothing;
  nothing.peer = "x";
  nothing.ours = {{"192.168.1.5", 24}};
  EXPECT_EQ(cause(nothing), Reach::unclear);
}

TEST(Reachability, EveryTroubleHasReasonAndCure) {
  int seen_causes = 0;
  // Every combination of what is yes or no.
  for (unsigned bits = 0; bits < 64; ++bits) {
    for (const Attempt to_peer :
         {Attempt::unknown, Attempt::connected, Attempt::refused, Attempt::timed_out, Attempt::unreachable}) {
      PeerObservations seen = one_network();
      seen.to_peer = to_peer;
      seen.beacon_heard = (bits & 1U) != 0;
      seen.others_reach_peer = (bits & 2U) != 0;
      seen.we_reach_others = (bits & 4U) != 0;
      seen.router_answers = (bits & 8U) != 0;
      seen.peer_hosts_hotspot = (bits & 16U) != 0;
      if ((bits & 32U) != 0) seen.theirs = {{"fd00::9", 64}};
      const ReachDiagnosis diagnosis = classify_reachability(seen);
      EXPECT_THAT(diagnosis.finding.found, Not(IsEmpty()));
      EXPECT_EQ(diagnosis.finding.why.empty(), diagnosis.cause == Reach::reachable);
      EXPECT_EQ(diagnosis.finding.cure.empty(), diagnosis.cause == Reach::reachable);
      EXPECT_EQ(diagnosis.works, to_peer == Attempt::connected);
      ++seen_causes;
    }
  }
  EXPECT_EQ(seen_causes, 320);
}

TEST(Reachability, Networks) {
  EXPECT_TRUE(same_network({"192.168.1.5", 24}, {"192.168.1.200", 24}));
  EXPECT_FALSE(same_network({"192.168.1.5", 24}, {"192.168.2.5", 24}));
  EXPECT_TRUE(same_network({"192.168.1.5", 22}, {"192.168.2.5", 22}));
  EXPECT_TRUE(same_network({"fd00::1", 64}, {"fd00::ffff", 64}));
  EXPECT_FALSE(same_network({"fd00::1", 64}, {"192.168.1.5", 0}));
  EXPECT_FALSE(same_network({"not an address", 24}, {"not an address", 24}));
  EXPECT_TRUE(same_network({"192.168.1.5", 999}, {"192.168.1.5", 999}));
  EXPECT_TRUE(is_private("172.31.0.1"));
  EXPECT_TRUE(is_private("fe80::1"));
  EXPECT_TRUE(is_private("100.64.3.4"));
  EXPECT_FALSE(is_private("172.32.0.1"));
  EXPECT_FALSE(is_private("2001:db8::1"));
  EXPECT_FALSE(is_private(""));
}

TEST(Reachability, Names) {
  EXPECT_EQ(name_of(Reach::client_isolation), "client_isolation");
  EXPECT_EQ(name_of(Reach::unclear), "unclear");
}

}  // namespace
}  // namespace caravan::doctor
