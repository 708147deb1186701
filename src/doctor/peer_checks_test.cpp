#include "doctor/peer_checks.h"

#include <gmock/gmock.h>

#include "doctor/router_probe.h"

namespace caravan::doctor {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// This device, one that is linked, and one that is not: as a node tells it.
Json view() {
  return Json::parse(R"({
    "cluster": {"id": "c", "name": "home", "version": 7, "member": true},
    "devices": [
      {"id": "a", "name": "pixel-8", "self": true, "linked": true, "hotspot": false,
       "addresses": [{"address": "192.168.1.5", "prefix": 24}]},
      {"id": "b", "name": "tablet", "self": false, "linked": true, "address": "192.168.1.8", "round_trip_ms": 4.5,
       "membership": {"version": 7, "agrees": true}},
      {"id": "c", "name": "pixel-6", "self": false, "linked": false, "last_heard_ms": 60000,
       "addresses": [{"address": "192.168.1.9", "prefix": 24}], "hotspot": false,
       "tried": {"address": "192.168.1.9:7433", "outcome": "timed_out", "why": "no answer", "seconds_ago": 12}}],
    "neighbours": []})");
}

Json& away(Json& view) { return view["devices"][2]; }

Finding linked(const Json& view) { return peers_linked(peers_from(view)); }

/// As if the other linked device were not there.
Json alone_with_it() {
  Json json = view();
  json["devices"].erase(1);
  return json;
}

TEST(PeerChecks, AllLinked) {
  Json json = view();
  json["devices"].erase(2);
  EXPECT_EQ(linked(json).status, Status::ok);
  EXPECT_EQ(linked(json).found, "tablet");
  EXPECT_EQ(peers_near(peers_from(json)).status, Status::ok);
  EXPECT_EQ(membership_agrees(peers_from(json)).status, Status::ok);
}

TEST(PeerChecks, WhatWasTriedIsToldInBothDirections) {
  Json json = view();
  away(json)["tried_from_there"] = {
      {"address", "192.168.1.5:7433"}, {"outcome", "refused"}, {"seconds_ago", 3}};
  const Finding finding = linked(json);
  EXPECT_EQ(finding.status, Status::problem);
  EXPECT_THAT(finding.found, HasSubstr("tried 192.168.1.9:7433, 12 s ago: nothing came back; it has tried "
                                       "192.168.1.5:7433, 3.0 s ago: refused"));
}

TEST(PeerChecks, NotRunning) {
  Json json = view();
  away(json)["tried"]["outcome"] = "refused";
  EXPECT_THAT(linked(json).found, HasSubstr("Caravan does not run on pixel-6"));
  EXPECT_THAT(linked(json).cure, Contains("on pixel-6: caravan up"));
  away(json)["tried"]["outcome"] = "unreachable";  // another device of the network does answer
  EXPECT_THAT(linked(json).found, HasSubstr("Caravan does not run on pixel-6"));
}

TEST(PeerChecks, Firewall) {
  EXPECT_THAT(linked(view()).found, HasSubstr("port 7433 does not get through"))
      << "others answer, it does not";
  Json json = alone_with_it();
  json["neighbours"] = Json::array({{{"id", "c"}, {"heard_ms", 4000}}});
  const Finding heard = peers_linked(peers_from(json));
  EXPECT_THAT(heard.found, HasSubstr("pixel-6 is there, but TCP port 7433"));
  EXPECT_THAT(heard.cure, Contains(HasSubstr("ufw allow 7433")));
}

TEST(PeerChecks, ABeaconFromBeforeTheLossTellsNothing) {
  Json json = alone_with_it();
  json["devices"][1]["last_heard_ms"] = 5000;
  json["neighbours"] = Json::array({{{"id", "c"}, {"heard_ms", 6000}}});
  EXPECT_FALSE(peers_from(json).peers[0].seen.beacon_heard);
  json["neighbours"][0]["heard_ms"] = 1000;
  EXPECT_TRUE(peers_from(json).peers[0].seen.beacon_heard);
  json["devices"][1]["last_heard_ms"] = 500000;
  json["neighbours"][0]["heard_ms"] = 30000;
  EXPECT_FALSE(peers_from(json).peers[0].seen.beacon_heard) << "it was there, and is not any more";
}

TEST(PeerChecks, ClientIsolation) {
  Json json = alone_with_it();
  PeersState state = peers_from(json);
  state.peers[0].seen.router_answers = true;
  EXPECT_THAT(peers_linked(state).found, HasSubstr("keeps this device and pixel-6 apart"));
  EXPECT_THAT(peers_linked(state).cure, Contains(HasSubstr("AP isolation")));
}

TEST(PeerChecks, OthersReachItAndWeReachNobodyIsIsolationToo) {
  Json json = alone_with_it();
  json["devices"][1]["reached_by"] = {"tablet"};
  EXPECT_THAT(linked(json).found, HasSubstr("keeps this device and pixel-6 apart"));
}

TEST(PeerChecks, Hotspot) {
  Json json = view();
  away(json)["hotspot"] = true;
  EXPECT_THAT(linked(json).found, HasSubstr("pixel-6 is the hotspot"));
  EXPECT_THAT(linked(json).cure, Contains(HasSubstr("router instead of a hotspot")));
  away(json)["hotspot"] = false;
  json["devices"][0]["hotspot"] = true;
  EXPECT_THAT(linked(json).found, HasSubstr("this device is the hotspot"));
}

TEST(PeerChecks, Nat) {
  Json json = view();
  away(json)["addresses"][0]["address"] = "10.0.0.9";
  away(json)["tried"]["address"] = "10.0.0.9:7433";
  away(json)["seen_from"] = "192.168.1.20";
  EXPECT_THAT(linked(json).found, HasSubstr("a router stands between this device and pixel-6"));
}

TEST(PeerChecks, WrongNetwork) {
  Json json = view();
  away(json)["addresses"][0]["address"] = "10.0.0.9";
  EXPECT_THAT(linked(json).found, HasSubstr("pixel-6 is on another network: 10.0.0.9/24 there"));
  away(json).erase("addresses");  // this node was restarted: it knows the last address only
  away(json)["tried"]["address"] = "10.0.0.9:7433";
  EXPECT_THAT(linked(json).found, HasSubstr("on another network"));
}

TEST(PeerChecks, NoNetwork) {
  Json json = view();
  json["devices"][0]["addresses"] = Json::array();
  EXPECT_THAT(linked(json).found, HasSubstr("this device is on no network"));
}

TEST(PeerChecks, TurnedAway) {
  Json json = view();
  away(json)["tried"] = {
      {"address", "192.168.1.9:7433"}, {"outcome", "turned_away"}, {"why", "it runs engine b1"}};
  EXPECT_THAT(linked(json).found, HasSubstr("it runs engine b1"));
}

TEST(PeerChecks, NothingTriedYet) {
  Json json = alone_with_it();
  json["devices"][1].erase("tried");
  EXPECT_EQ(linked(json).status, Status::problem);
  EXPECT_THAT(linked(json).found, HasSubstr("nothing was tried yet"));
}

TEST(PeerChecks, ConnectionsThatGetThroughWithoutALinkAreNotAllRight) {
  Json json = view();
  away(json)["tried"]["outcome"] = "connected";
  const Finding finding = linked(json);
  EXPECT_EQ(finding.status, Status::warning);
  EXPECT_FALSE(finding.why.empty());
  EXPECT_FALSE(finding.cure.empty());
}

TEST(PeerChecks, SeveralAreToldTogether) {
  Json json = view();
  Json other = away(json);
  other["name"] = "old-phone";
  other["id"] = "d";
  other["tried"]["outcome"] = "refused";
  json["devices"].push_back(other);
  const Finding finding = linked(json);
  EXPECT_THAT(finding.found, HasSubstr("pixel-6"));
  EXPECT_THAT(finding.found, HasSubstr("old-phone"));
  EXPECT_THAT(finding.cure, Contains("on old-phone: caravan up"));
}

TEST(PeerChecks, FarAway) {
  Json json = view();
  json["devices"][1]["round_trip_ms"] = 21.5;
  const Finding finding = peers_near(peers_from(json));
  EXPECT_EQ(finding.status, Status::warning);
  EXPECT_THAT(finding.found, HasSubstr("tablet: 21.5 ms"));
  EXPECT_FALSE(finding.cure.empty());
  json["devices"][1]["round_trip_ms"] = 10;
  EXPECT_EQ(peers_near(peers_from(json)).status, Status::ok);
  json["devices"].erase(1);
  EXPECT_EQ(peers_near(peers_from(json)).status, Status::skipped);
}

TEST(PeerChecks, MembershipThatDiffersForLongerThanItTakesToSpread) {
  Json json = view();
  Json& membership = json["devices"][1]["membership"];
  membership = {{"version", 6}, {"agrees", false}, {"differs_seconds", 2}};
  EXPECT_EQ(membership_agrees(peers_from(json)).status, Status::ok) << "it has just changed";
  membership["differs_seconds"] = 40;
  const Finding behind = membership_agrees(peers_from(json));
  EXPECT_EQ(behind.status, Status::problem);
  EXPECT_THAT(behind.found, HasSubstr("tablet holds version 6 for 40 s, this device version 7"));
  EXPECT_THAT(behind.cure, ElementsAre(HasSubstr("on tablet: caravan doctor")));
  membership["version"] = 8;
  EXPECT_THAT(membership_agrees(peers_from(json)).cure, ElementsAre(HasSubstr("here: caravan doctor")));
  membership["version"] = 7;
  EXPECT_THAT(membership_agrees(peers_from(json)).cure, ElementsAre(HasSubstr("on both")));
  json["devices"][1].erase("membership");
  EXPECT_EQ(membership_agrees(peers_from(json)).status, Status::skipped);
}

TEST(PeerChecks, WithoutANodeOrAClusterThereIsNothingToTell) {
  PeersState state;
  state.unknown = Error{Code::unavailable, "this device is not up", ""};
  Json removed = view();
  removed["cluster"]["member"] = false;
  for (const auto check : {peers_linked, peers_near, membership_agrees}) {
    EXPECT_EQ(check(state).status, Status::skipped);
    EXPECT_EQ(check(peers_from(removed)).status, Status::skipped);
  }
  Json alone = view();
  alone["devices"].erase(1);
  alone["devices"].erase(1);
  EXPECT_EQ(linked(alone).status, Status::ok);
}

TEST(PeerChecks, AnotherViewIsNoCrash) {
  for (
      const char* text :
      {"null", "[]", "{}", "7",
       R"({"cluster":{"member":true},"devices":[1,"x",null,{"self":true},{"linked":3}]})",
       R"({"cluster":{"member":true},"devices":{"a":{"name":"x","tried":7,"addresses":[1,{"prefix":"x"}]}},"neighbours":7})"}) {
    const PeersState state = peers_from(Json::parse(text));
    EXPECT_FALSE(peers_linked(state).found.empty()) << text;
    EXPECT_FALSE(membership_agrees(state).found.empty()) << text;
  }
}

TEST(PeerChecks, TheStepAsksTheNodeOnce) {
  int asked = 0;
  Json json = view();
  json["devices"].erase(2);
  const Step step = peer_step([&]() -> Result<Json> {
    ++asked;
    return json;
  });
  EXPECT_EQ(step.run().size(), 3U);
  EXPECT_EQ(asked, 1);
  EXPECT_LT(step.limit, std::chrono::seconds(20));
  EXPECT_EQ(peer_step({}).run()[0].status, Status::skipped);
}

TEST(RouterProbe, LooksAtTheEndsOfEachNetworkOnly) {
  EXPECT_THAT(likely_routers({{"192.168.1.5", 24}}, {}), ElementsAre("192.168.1.1", "192.168.1.254"));
  EXPECT_THAT(likely_routers({{"10.0.7.9", 16}, {"10.0.7.10", 16}}, {}),
              ElementsAre("10.0.0.1", "10.0.255.254"));
  EXPECT_THAT(likely_routers({{"192.168.1.1", 24}}, {{"192.168.1.254", 24}}), IsEmpty())
      << "devices, not routers";
  EXPECT_THAT(likely_routers({{"10.1.2.3", 8}, {"10.9.9.9", 32}, {"fd00::5", 64}, {"x", 24}}, {}), IsEmpty());
}

}  // namespace
}  // namespace caravan::doctor
