#include "cluster/plan_messages.h"

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

/// Golden bytes of version 1: what another build of Caravan sends. They never change.
constexpr const char* kMadeV1 =
    R"({"number":7,"replicas":[{"context":512,"decode":12.5,"first_token":0.5,"head_on_last_worker":true,)"
    R"("kv_type":"q8_0","load":3.0,"micro_batch":64,"parallel":2,"prefill":80.0,"shares":[)"
    R"({"budget":900,"device":"a","first_layer":0,"kv_cache":2,"layers":4,"overhead":3,"reason":"it is fast",)"
    R"("threads":2,"weights":100},{"budget":800,"device":"b","first_layer":4,"kv_cache":1,"layers":2,)"
    R"("overhead":3,"reason":"","threads":1,"weights":50}]}],"version":1})";
constexpr const char* kFailedV1 =
    R"({"error":{"code":"exhausted","hint":"add a device","message":"too big"},"number":8,"version":1})";

PlanRequest some_request() {
  PlanRequest request;
  request.number = 7;
  request.wish.model = "m";
  request.wish.file = "m.gguf";
  request.wish.size = Bytes{7};
  for (const char* name : {"a", "b"}) {
    plan::DeviceProfile device;
    device.name = name;
    device.memory = Bytes{1000};
    device.kernels["f16"] = {1, 1, 1, 1};
    device.node_seconds = device.attention = device.attention_prefill = device.elements = 1e-3;
    request.devices.devices.push_back(device);
  }
  request.devices.usual = {0.005, 1e6};
  request.devices.links[{"a", "b"}] = plan::Link{0.001, 2e6};
  request.holders = {"b"};
  request.fabric = {"a"};
  return request;
}

Result<Planned> with(const char* field, const Json& value) {
  Json json = Json::parse(kMadeV1);
  json[field] = value;
  return planned_from_json(json);
}

Result<Planned> with_replica(const char* field, const Json& value) {
  Json json = Json::parse(kMadeV1);
  json["replicas"][0][field] = value;
  return planned_from_json(json);
}

Result<Planned> with_share(int rank, const char* field, const Json& value) {
  Json json = Json::parse(kMadeV1);
  json["replicas"][0]["shares"][static_cast<std::size_t>(rank)][field] = value;
  return planned_from_json(json);
}

TEST(PlanMessages, GoldenBytesGoThereAndBack) {
  for (const char* golden : {kMadeV1, kFailedV1}) {
    const auto read = planned_from_json(Json::parse(golden));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(dump_json(to_json(*read)), golden);
  }
  const auto made = planned_from_json(Json::parse(kMadeV1));
  const plan::Plan& plan = made->replicas->at(0);
  EXPECT_EQ(plan.shares.at(1).rank, 1);
  EXPECT_EQ(plan.head, plan::Head::last_worker);
  EXPECT_EQ(plan.kv, model::KvType::q8_0);
  EXPECT_EQ(planned_from_json(Json::parse(kFailedV1))->replicas.error().code, Code::exhausted);
}

TEST(PlanMessages, TheDataPathIsRpcUnlessThePlanSaysOtherwise) {
  EXPECT_EQ(planned_from_json(Json::parse(kMadeV1))->replicas->front().data_path, DataPath::rpc);
  Json json = Json::parse(kMadeV1);
  json["replicas"][0]["data_path"] = "fabric";
  json["replicas"][0]["load_again"] = 1.0;
  json["replicas"][0]["air"] = 0.25;
  const auto read = planned_from_json(json);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->replicas->front().data_path, DataPath::fabric);
  EXPECT_EQ(dump_json(to_json(*read)), dump_json(json));
  EXPECT_FALSE(with_replica("data_path", "pigeon").ok());
}

TEST(PlanMessages, SpeculationIsKeptWithinBounds) {
  EXPECT_FALSE(planned_from_json(Json::parse(kMadeV1))->replicas->front().speculation.is_on());
  const Json good = Json::parse(R"({"lookup":8,"draft":15,"repeating":31.5,"refused":4.5})");
  const auto read = with_replica("speculation", good);
  ASSERT_TRUE(read.ok()) << read.error().message;
  const plan::Speculation& speculation = read->replicas->front().speculation;
  EXPECT_EQ(speculation.draft, 15);
  EXPECT_EQ(speculation.repeating, 31.5);
  EXPECT_EQ(dump_json(to_json(*read)["replicas"][0]["speculation"]), dump_json(good));
  for (const char* name : {"lookup", "draft"}) {
    Json bad = good;
    bad[name] = 257U;
    EXPECT_FALSE(with_replica("speculation", bad).ok()) << name;
  }
  EXPECT_FALSE(with_replica("speculation", {{"lookup", 0U}, {"draft", 3U}}).ok());
}

TEST(PlanMessages, WhatSharesArePredictedToTakeIsKept) {
  Json json = Json::parse(kMadeV1);
  json["replicas"][0]["shares"][1]["compute"] = 0.25;
  json["replicas"][0]["shares"][1]["hop"] = 0.125;
  const auto read = planned_from_json(json);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->replicas->at(0).shares.at(0).compute, 0);
  EXPECT_EQ(read->replicas->at(0).shares.at(1).compute, 0.25);
  EXPECT_EQ(read->replicas->at(0).shares.at(1).hop, 0.125);
  EXPECT_EQ(to_json(*read), json);
}

TEST(PlanMessages, ARequestGoesThereAndBack) {
  const PlanRequest request = some_request();
  const auto read = plan_request_from_json(*parse_json(dump_json(to_json(request)), 1U << 20U));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(request));
  EXPECT_EQ(read->wish, request.wish);
  EXPECT_EQ(read->devices.links.size(), 1U);
}

TEST(PlanMessages, ARequestThatIsNotWholeIsRefused) {
  const Json good = to_json(some_request());
  for (const char* field : {"version", "number", "wish", "cluster"}) {
    Json json = good;
    json.erase(field);
    EXPECT_FALSE(plan_request_from_json(json).ok()) << field;
    json[field] = "x";
    EXPECT_FALSE(plan_request_from_json(json).ok()) << field;
  }
  Json json = good;
  json["version"] = 2U;
  EXPECT_EQ(plan_request_from_json(json).error().code, Code::incompatible);
  json = good;
  json["holders"] = std::vector<std::string>(65, "a");
  EXPECT_FALSE(plan_request_from_json(json).ok());
  EXPECT_FALSE(plan_request_from_json(Json::array()).ok());
}

TEST(PlanMessages, HostilePlansAreRefused) {
  EXPECT_EQ(with("version", 2U).error().code, Code::incompatible);
  for (const Json& value : {Json(7), Json::array(), Json::array({7}), Json()})
    EXPECT_FALSE(with("replicas", value).ok()) << value;
  const Json replica = Json::parse(kMadeV1)["replicas"][0];
  EXPECT_FALSE(with("replicas", {replica, replica}).ok()) << "a device is there twice";
  for (const Json& value : {Json(7), Json::array()}) EXPECT_FALSE(with_replica("shares", value).ok());
  EXPECT_FALSE(with_replica("context", 0).ok());
  EXPECT_FALSE(with_replica("parallel", 0).ok());
  EXPECT_FALSE(with_replica("kv_type", "q1").ok());
  EXPECT_FALSE(with_share(1, "device", "a").ok()) << "a device is there twice";
  EXPECT_FALSE(with_share(0, "device", "").ok());
  EXPECT_FALSE(with_share(0, "device", std::string(1000, 'a')).ok());
  EXPECT_FALSE(with_share(0, "first_layer", 1).ok());
  EXPECT_FALSE(with_share(1, "first_layer", 5).ok());
  EXPECT_FALSE(with_share(1, "layers", 10001).ok());
  EXPECT_FALSE(with_share(0, "threads", 100000).ok());
  EXPECT_FALSE(with_share(0, "weights", -1).ok());
}

TEST(PlanMessages, WhoIsTakenForSlowAndWhatThatComesTo) {
  PlanRequest request = some_request();
  request.slow = {{"a", 0.25}};
  Json asked = Json::parse(dump_json(to_json(request)));
  EXPECT_EQ(plan_request_from_json(asked)->slow, request.slow);
  for (const Json& bad : {Json{{"a", 0}}, Json{{"a", 1.5}}, Json{{"a", "slow"}}, Json(0.25)}) {
    asked["slow"] = bad;
    EXPECT_FALSE(plan_request_from_json(asked).ok()) << bad;
  }
  const auto weighed = with("weighed", {{"replicas", 8.5}, {"running", 5.0}});
  ASSERT_TRUE(weighed.ok()) << weighed.error().message;
  EXPECT_EQ(weighed->weighed->replicas, 8.5);
  EXPECT_EQ(weighed->weighed->running, 5.0);
  EXPECT_EQ(to_json(*weighed)["weighed"], (Json{{"replicas", 8.5}, {"running", 5.0}}));
  EXPECT_FALSE(planned_from_json(Json::parse(kMadeV1))->weighed);
  EXPECT_FALSE(with("weighed", {{"replicas", 8.5}}).ok());
}

TEST(PlanMessages, WhatRunsGoesThereAndComesBackPredictedAnew) {
  const auto made = planned_from_json(Json::parse(kMadeV1));
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_TRUE(made->running.empty());
  PlanRequest request = some_request();
  request.running = *made->replicas;
  const auto asked = plan_request_from_json(Json::parse(dump_json(to_json(request))));
  ASSERT_TRUE(asked.ok()) << asked.error().message;
  ASSERT_EQ(asked->running.size(), 1U);
  EXPECT_EQ(asked->running.front().shares.at(1).layer_count, 2);

  Planned planned = *made;
  planned.running = asked->running;
  planned.running.front().predicted.decode = 3;
  const auto back = planned_from_json(Json::parse(dump_json(to_json(planned))));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_DOUBLE_EQ(back->running.at(0).predicted.decode, 3);
  EXPECT_FALSE(with("running", Json::parse(R"([{"shares":[]}])")).ok());
  EXPECT_FALSE(with("running", Json(std::vector<Json>(65, Json::parse(kMadeV1)["replicas"][0]))).ok());
}

}  // namespace
}  // namespace caravan::cluster
