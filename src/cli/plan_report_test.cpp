#include "cli/plan_report.h"

#include <gmock/gmock.h>

namespace caravan::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

plan::Proposal proposal() {
  plan::Plan replica;
  replica.context = 4096;
  replica.kv = model::KvType::q8_0;
  replica.micro_batch = 512;
  plan::Share master{.device = "pixel 8", .rank = 0, .first_layer = 0, .layer_count = 10, .threads = 4};
  plan::Share worker{.device = "tablet", .rank = 1, .first_layer = 10, .layer_count = 6, .threads = 2};
  master.budget = worker.budget = mebibytes(1000);
  master.reason = "because";
  replica.shares = {master, worker};
  replica.predicted = {.decode = 9.13, .prefill = 50, .first_token = 11, .load = 20};
  plan::Proposal made;
  made.predicted = replica.predicted;
  made.replicas = {std::move(replica)};
  made.reasons = {"two devices carry the model together"};
  made.left_out = {{"old-phone", "would slow you from 9.1 to 6.0 tokens/s"}};
  made.alternatives = {{"tablet", "without tablet it does not fit"}};
  return made;
}

PlanEngine engine() {
  return {engine::EngineFlags::from_help(
              "--host HOST\n--port PORT\n--model FNAME\n--threads N\n--ctx-size N\n--parallel N\n"
              "--ubatch-size N\n--device LIST\n--cache-type-k TYPE\n--cache-type-v TYPE\n--rpc SERVERS\n"
              "--tensor-split N0,N1\n--gpu-layers N\n--override-tensor P\n--flash-attn [on|off]\n"),
          engine::EngineFlags::from_help("  --host HOST\n  --port PORT\n  --threads N\n"),
          engine::RpcDeviceNames::by_number};
}

TEST(PlanReport, TellsWhoCarriesWhatAndWhoIsLeftOut) {
  const std::string text = plan_text("test-model", proposal(), {}, false);
  for (const char* piece :
       {"test-model", "pixel 8", "0-9 (10)", "10-15 (6)", "KV cache q8_0", "generation 9.1 tokens/s",
        "old-phone is left out: would slow you from 9.1 to 6.0 tokens/s", "--explain"}) {
    EXPECT_THAT(text, HasSubstr(piece));
  }
  EXPECT_THAT(text, Not(HasSubstr("because")));
  const std::string all = plan_text("test-model", proposal(), {}, true);
  EXPECT_THAT(all, HasSubstr("because"));
  EXPECT_THAT(all, HasSubstr("without tablet it does not fit"));
}

TEST(PlanReport, CommandLinesCarryOutThePlan) {
  const auto lines = command_lines(proposal(), "/models/my model.gguf", engine());
  ASSERT_TRUE(lines.ok()) << lines.error().message;
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_THAT(lines->at(0).arguments,
              ElementsAre("ggml-rpc-server", "--host", "tablet", "--port", "50052", "--threads", "2"));
  EXPECT_EQ(lines->at(1).device, "pixel 8");
  const std::string text = lines->at(1).text();
  for (const char* piece :
       {"llama-server", "'/models/my model.gguf'", "--rpc tablet:50052", "--tensor-split 7", "--gpu-layers 7",
        "--cache-type-k q8_0", "--ubatch-size 512", "--ctx-size 4096", "--threads 4"}) {
    EXPECT_THAT(text, HasSubstr(piece));
  }
}

TEST(PlanReport, CommandLinesOfTheFabric) {
  plan::Proposal made = proposal();
  made.replicas[0].data_path = plan::DataPath::fabric;
  made.replicas[0].head = plan::Head::last_worker;
  made.replicas[0].micro_batch = 64;
  const auto lines = command_lines(made, "/models/m.gguf", engine());
  ASSERT_TRUE(lines.ok()) << lines.error().message;
  ASSERT_EQ(lines->size(), 3U) << "the master's own layers have a worker too";
  EXPECT_THAT(lines->at(0).text(), HasSubstr("caravan-worker --listen 127.0.0.1:50051 --key-file plan.key"));
  EXPECT_THAT(lines->at(1).text(), HasSubstr("--listen tablet:50052"));
  for (const std::size_t worker : {0U, 1U})
    EXPECT_THAT(lines->at(worker).text(), HasSubstr("--any-address")) << "each hands on to another device";
  const CommandLine& server = lines->at(2);
  for (const char* piece :
       {"GGML_BACKEND_PATH=./libggml-caravan.so CARAVAN_FABRIC_PLAN=fabric-plan.json llama-server",
        "--device Caravan0,Caravan1", "--tensor-split 10,7", "--ubatch-size 64"})
    EXPECT_THAT(server.text(), HasSubstr(piece));
  EXPECT_THAT(server.text(), Not(HasSubstr("--rpc")));
  EXPECT_EQ(server.file_content["head"], "worker");
  EXPECT_EQ(server.file_content["stages"][1]["peer"], "tablet:50052");
  const std::string text = plan_text("m", made, *lines, true);
  for (const char* piece : {"data path fabric", "openssl rand -hex 32", "fabric-plan.json (chmod 600): {"})
    EXPECT_THAT(text, HasSubstr(piece));
  const Json value = plan_json("m", made, *lines);
  EXPECT_EQ(value["replicas"][0]["data_path"], "fabric");
  EXPECT_EQ(value["commands"][2]["file"]["name"], "fabric-plan.json");
}

TEST(PlanReport, JsonHasAllOfIt) {
  const Json value = plan_json("test-model", proposal(), {{"tablet", {"ggml-rpc-server", "it's"}}});
  EXPECT_EQ(value["replicas"][0]["shares"][1]["first_layer"], 10);
  EXPECT_EQ(value["replicas"][0]["head"], "master");
  EXPECT_EQ(value["predicted"]["tokens_per_second"], 9.13);
  EXPECT_EQ(value["left_out"][0]["device"], "old-phone");
  EXPECT_EQ(value["commands"][0]["text"], "ggml-rpc-server 'it'\\''s'");
}

}  // namespace
}  // namespace caravan::cli
