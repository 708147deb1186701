#include "cluster/messages.h"

#include <gtest/gtest.h>

namespace caravan::cluster {
namespace {

/// Golden bytes of version 1: what another build of Caravan sends. They never change.
constexpr const char* kMasterV1 =
    R"({"context":2048,"epoch":3,"generation":4,"layers":[12,9,9],"model_name":"smollm2-135m","model_path":"/m.gguf",)"
    R"("parallel":1,"rank":0,"role":"master","threads":2,"version":1,"workers":[)"
    R"({"device":"phone-2","host":"127.0.0.1","port":50052,"rank":1,"weights":22000000},)"
    R"({"device":"phone-3","host":"127.0.0.1","port":50053,"rank":2,"weights":22000000}]})";
constexpr const char* kWorkerV1 =
    R"({"epoch":3,"generation":4,"rank":2,"role":"worker","threads":1,"version":1})";
constexpr const char* kStateV1 =
    R"({"api":"http://127.0.0.1:8080","cores":8,"device":"phone-1","engine_build":"de3ff81","engine_log":"/l",)"
    R"("engine_pids":[12],"epoch":3,"error":{"code":"disconnected","hint":"h","message":"m"},"generation":4,)"
    R"("memory":1000,"observed":[{"layers":[0,1],"rank":0,"weights":5}],"phase":"failed","pid":7,"progress":0.5,)"
    R"("role":"master","rpc_port":0,"traffic":[{"device":"phone-2","received":2,"sent":1}],"version":1})";

/// With the optional fields that were added to version 1 since.
constexpr const char* kMasterNow =
    R"({"context":2048,"epoch":3,"generation":4,"head_on_last_worker":true,"kv_type":"q8_0","layers":[12,9],)"
    R"("micro_batch":256,"model_name":"m","model_path":"/m.gguf","parallel":1,"rank":0,"role":"master","threads":2,)"
    R"("version":1,"workers":[{"device":"b","host":"127.0.0.1","port":50052,"rank":1,"weights":22000000}]})";
constexpr const char* kStateNow =
    R"({"api":"","busy":2,"cores":8,"device":"a","engine_build":"","engine_log":"","engine_pids":[],"epoch":3,)"
    R"("generation":4,"memory":1000,"observed":[],"phase":"idle","pid":7,"progress":0.5,"role":"idle",)"
    R"("rpc_port":0,"traffic":[],"version":1})";

Result<Assignment> assignment_of(const std::string& text) { return assignment_from_json(Json::parse(text)); }

/// kMasterV1 with one field replaced.
std::string master_with(const char* field, const Json& value) {
  Json json = Json::parse(kMasterV1);
  json[field] = value;
  return json.dump();
}

TEST(Messages, GoldenBytesGoThereAndBack) {
  for (const char* golden : {kWorkerV1, kMasterNow}) {
    const auto assignment = assignment_of(golden);
    ASSERT_TRUE(assignment.ok()) << assignment.error().message;
    EXPECT_EQ(dump_json(to_json(*assignment)), golden);
  }
  const auto state = node_state_from_json(Json::parse(kStateNow));
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(dump_json(to_json(*state)), kStateNow);
}

TEST(Messages, WhatTheFirstBuildsSentIsUnderstoodWhole) {
  const auto assignment = assignment_of(kMasterV1);
  ASSERT_TRUE(assignment.ok()) << assignment.error().message;
  const auto state = node_state_from_json(Json::parse(kStateV1));
  ASSERT_TRUE(state.ok()) << state.error().message;
  for (const auto& [golden, written] :
       {std::pair(kMasterV1, to_json(*assignment)), std::pair(kStateV1, to_json(*state))}) {
    Json with_golden = written;
    with_golden.update(Json::parse(golden));
    EXPECT_EQ(with_golden, written) << "fields were added, none has changed or is gone";
  }
}

TEST(Messages, APlainWorkerIsMarked) {
  Json json = Json::parse(kMasterNow);
  json["workers"][0]["plain"] = true;
  const auto assignment = assignment_of(json.dump());
  ASSERT_TRUE(assignment.ok()) << assignment.error().message;
  EXPECT_TRUE(assignment->workers[0].is_plain);
  EXPECT_EQ(to_json(*assignment), json);
  EXPECT_FALSE(assignment_of(kMasterNow)->workers[0].is_plain);
}

TEST(Messages, ASignOfTheControllerIsOptionalAndChecked) {
  Json json = Json::parse(kStateNow);
  json["controller"] = {{"epoch", 7U}, {"age", 2.5}};
  const auto state = node_state_from_json(json);
  ASSERT_TRUE(state.ok()) << state.error().message;
  ASSERT_TRUE(state->controller);
  EXPECT_EQ(state->controller->epoch, 7U);
  EXPECT_EQ(state->controller->age, std::chrono::milliseconds(2500));
  EXPECT_EQ(to_json(*state)["controller"], json["controller"]);
  for (const Json& bad : {Json(-1), Json(1e300), Json("x"), Json(86401)}) {
    json["controller"]["age"] = bad;
    EXPECT_FALSE(node_state_from_json(json).ok()) << bad;
  }
}

TEST(Messages, GuessedTokensAreFewAndHaveSomethingToLookFor) {
  Json json = Json::parse(kMasterNow);
  EXPECT_EQ(assignment_of(json.dump())->draft, 0);
  json["lookup"] = 8;
  json["draft"] = 15;
  const auto read = assignment_of(json.dump());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->lookup, 8);
  EXPECT_EQ(read->draft, 15);
  EXPECT_EQ(dump_json(to_json(*read)), dump_json(json));
  for (const Json& bad : {Json(-1), Json(257), Json("8"), Json(1.5)}) {
    json["draft"] = bad;
    EXPECT_FALSE(assignment_of(json.dump()).ok()) << bad;
  }
  json["draft"] = 15;
  json["lookup"] = 0;
  EXPECT_FALSE(assignment_of(json.dump()).ok());
}

TEST(Messages, WhatTheFabricNeedsIsOptional) {
  Json json = Json::parse(kMasterNow);
  json["data_path"] = "fabric";
  json["wire"] = "q8_0";
  json["workers"][0]["key"] = "00ff";
  json["workers"][0]["peer"] = "127.0.0.1:4711";
  const auto master = assignment_of(json.dump());
  ASSERT_TRUE(master.ok()) << master.error().message;
  EXPECT_EQ(master->data_path, DataPath::fabric);
  EXPECT_EQ(master->wire, engine::WireFormat::q8_0);
  EXPECT_EQ(dump_json(to_json(*master)), dump_json(json));
  json["wire"] = "q1";
  EXPECT_FALSE(assignment_of(json.dump()).ok());
  EXPECT_EQ(assignment_of(kMasterNow)->wire, engine::WireFormat::f32) << "records of before";
  json = Json::parse(kWorkerV1);
  json["data_path"] = "fabric";
  json["next"] = "c";
  const auto worker = assignment_of(json.dump());
  ASSERT_TRUE(worker.ok()) << worker.error().message;
  EXPECT_EQ(dump_json(to_json(*worker)), dump_json(json));
  json["data_path"] = "carrier pigeon";
  EXPECT_FALSE(assignment_of(json.dump()).ok());
  json = Json::parse(kStateNow);
  json["worker_key"] = "00ff";
  json["hand_off_port"] = 4711;
  const auto state = node_state_from_json(Json::parse(json.dump()));
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(dump_json(to_json(*state)), dump_json(json));
  json["hand_off_port"] = 65536;
  EXPECT_FALSE(node_state_from_json(Json::parse(json.dump())).ok());
}

TEST(Messages, AMasterNamesItsModel) {
  NodeState state;
  state.role = Role::master;
  state.model = "smollm2-135m";
  const auto back = node_state_from_json(Json::parse(dump_json(to_json(state))));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->model, "smollm2-135m");
}

TEST(Messages, UnknownFieldsAreIgnored) {
  EXPECT_TRUE(assignment_of(master_with("something_new", {1, 2})).ok());
}

TEST(Messages, AnotherVersionIsIncompatible) {
  const auto assignment = assignment_of(master_with("version", 2));
  ASSERT_FALSE(assignment.ok());
  EXPECT_EQ(assignment.error().code, Code::incompatible);
  EXPECT_FALSE(assignment.error().hint.empty());
}

TEST(Messages, WrongFieldsAreNamed) {
  const std::vector<std::pair<const char*, Json>> wrong{
      {"role", "boss"},    {"rank", -1},
      {"threads", 0},      {"threads", 100000},
      {"context", 0},      {"parallel", 0},
      {"layers", {1}},     {"layers", {1, 2, "x"}},
      {"workers", 5},      {"model_path", ""},
      {"model_path", 7},   {"epoch", "many"},
      {"generation", 1.5}, {"workers", {{{"device", "x"}}}}};
  for (const auto& [field, value] : wrong) {
    const auto assignment = assignment_of(master_with(field, value));
    ASSERT_FALSE(assignment.ok()) << field << " " << value;
    EXPECT_EQ(assignment.error().code, Code::invalid);
  }
}

TEST(Messages, WorkersMustBeInOrderOfRankAndHavePorts) {
  Json json = Json::parse(kMasterV1);
  std::swap(json["workers"][0], json["workers"][1]);
  EXPECT_FALSE(assignment_from_json(json).ok());
  json = Json::parse(kMasterV1);
  json["workers"][0]["port"] = 0;
  EXPECT_FALSE(assignment_from_json(json).ok());
  json["workers"][0]["port"] = 65536;
  EXPECT_FALSE(assignment_from_json(json).ok());
}

TEST(Order, EpochComesBeforeGeneration) {
  EXPECT_LT((Order{1, 9}), (Order{2, 1}));
  EXPECT_LT((Order{2, 1}), (Order{2, 2}));
}

TEST(Messages, AStateNamesTheModelsThatItAnswersFor) {
  NodeState state;
  state.device = "a";
  state.busy = 2;
  EXPECT_FALSE(to_json(state).contains("answering"));
  state.answering = {"m", "n"};
  const auto read = node_state_from_json(*parse_json(dump_json(to_json(state)), kMaxMessageBytes));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->answering, state.answering);
  Json json = to_json(state);
  for (const Json& wrong : {Json(7), Json("m"), Json::array({7}), Json(std::vector<std::string>(65, "m"))}) {
    json["answering"] = wrong;
    EXPECT_FALSE(node_state_from_json(json).ok()) << wrong;
  }
}

}  // namespace
}  // namespace caravan::cluster
