#include "engine/arguments.h"

#include <algorithm>
#include <numeric>
#include <random>

#include <gmock/gmock.h>

#include "base/text.h"
#include "engine/testing.h"

namespace caravan::engine {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::recorded;

EngineFlags flags_of(const std::string& help) { return EngineFlags::from_help(recorded(help)); }

TEST(Arguments, RpcPortOfARank) {
  EXPECT_EQ(assign_rpc_port(0), 0);
  EXPECT_EQ(assign_rpc_port(1), 50052);
  EXPECT_EQ(assign_rpc_port(3), 50054);
}

TEST(Arguments, RpcAddressList) {
  EXPECT_EQ(build_rpc_address_list({}), "");
  EXPECT_EQ(build_rpc_address_list({{"127.0.0.1", 50052}}), "127.0.0.1:50052");
  EXPECT_EQ(build_rpc_address_list({{"127.0.0.1", 50052}, {"10.0.0.3", 7}}), "127.0.0.1:50052,10.0.0.3:7");
}

TEST(Arguments, SplitOfWholeLayers) {
  EXPECT_EQ(build_tensor_split_string({10, 10, 10}), "10,11");
  EXPECT_EQ(gpu_layers({10, 10, 10}), 21);
  EXPECT_EQ(build_tensor_split_string({0, 15, 15}), "15,16");
  EXPECT_EQ(gpu_layers({0, 15, 15}), 31);
  EXPECT_EQ(build_tensor_split_string({30}), "");
  EXPECT_EQ(gpu_layers({30}), 0);
}

TEST(Arguments, GuessesOnlyWhereTheEngineTakesThem) {
  MasterArguments wanted;
  wanted.model = "/m.gguf";
  wanted.layers = {30};
  const auto line = [&wanted](const std::string& help) {
    const auto made = master_arguments(wanted, flags_of(help), RpcDeviceNames::by_number);
    return made ? " " + join(*made, " ") + " " : made.error().message;
  };
  EXPECT_THAT(line("llama-server_help"), Not(HasSubstr("--spec")));
  wanted.guesses = {8, 15};
  EXPECT_THAT(line("llama-server_help"), HasSubstr(" --spec-type ngram-simple --spec-ngram-simple-size-n 8 "
                                                   "--spec-ngram-simple-size-m 15 "));
  EXPECT_THAT(line("llama-server_help_older"), Not(HasSubstr("--spec")));
}

TEST(Arguments, StagesOfTheFabric) {
  MasterArguments wanted;
  wanted.model = "/m.gguf";
  wanted.workers = {{"127.0.0.1", 1}, {"127.0.0.1", 2}};
  wanted.fabric = FabricUse{"/libggml-caravan.so", "/plan.json"};
  wanted.layers = {10, 8, 12};
  const auto with_master = master_arguments(wanted, flags_of("llama-server_help"), RpcDeviceNames::by_number);
  ASSERT_TRUE(with_master.ok()) << with_master.error().message;
  const auto value_of = [](const std::vector<std::string>& list, const std::string& name) {
    const auto found = std::find(list.begin(), list.end(), name);
    return found == list.end() ? std::string("none") : *(found + 1);
  };
  EXPECT_EQ(value_of(*with_master, "--device"), "Caravan0,Caravan1,Caravan2");
  EXPECT_EQ(value_of(*with_master, "--tensor-split"), "10,8,13");
  EXPECT_EQ(value_of(*with_master, "--gpu-layers"), "31");
  EXPECT_EQ(value_of(*with_master, "--load-mode"), "mmap");
  EXPECT_EQ(value_of(*with_master, "--rpc"), "none");
  EXPECT_EQ(value_of(*with_master, "--override-tensor"), "none");
  wanted.layers = {0, 18, 12};
  const auto without = master_arguments(wanted, flags_of("llama-server_help"), RpcDeviceNames::by_number);
  ASSERT_TRUE(without.ok());
  EXPECT_EQ(value_of(*without, "--device"), "Caravan0,Caravan1");
  EXPECT_EQ(value_of(*without, "--tensor-split"), "18,13");
  EXPECT_EQ(rank_of_stage(0, {10, 8, 12}), 0);
  EXPECT_EQ(rank_of_stage(1, {0, 18, 12}), 2);
}

TEST(Arguments, LayerCountsAreChecked) {
  EXPECT_TRUE(check_layer_counts({30}, 0).ok());
  EXPECT_TRUE(check_layer_counts({0, 1}, 1).ok());
  EXPECT_FALSE(check_layer_counts({}, 0).ok());
  EXPECT_FALSE(check_layer_counts({0}, 0).ok());
  EXPECT_FALSE(check_layer_counts({30}, 1).ok());
  EXPECT_FALSE(check_layer_counts({20, 10, 0}, 2).ok());
  EXPECT_FALSE(check_layer_counts({-1, 10}, 1).ok());
  EXPECT_TRUE(check_layer_counts(std::vector<int>(kMaxWorkers + 1, 1), kMaxWorkers).ok());
  EXPECT_FALSE(check_layer_counts(std::vector<int>(kMaxWorkers + 2, 1), kMaxWorkers + 1).ok());
}

/// How many repeating layers the engine puts on each rank, by its rule: the last `offloaded` layers, the
/// output layer among them, go to the devices; the i-th of them to the first device whose cumulative share,
/// as a fraction in single precision, exceeds i / offloaded.
std::vector<int> engines_split(int layers, int offloaded, const std::string& tensor_split) {
  std::vector<float> shares;
  for (const std::string& text : split(tensor_split, ',')) shares.push_back(std::stof(text));
  std::partial_sum(shares.begin(), shares.end(), shares.begin());
  const float total = shares.back();
  for (float& share : shares) share /= total;
  std::vector<int> counts(shares.size() + 1, 0);
  const int first_offloaded = layers + 1 - offloaded;
  for (int layer = 0; layer < layers; ++layer) {
    if (layer < first_offloaded) {
      ++counts[0];
      continue;
    }
    const float place = static_cast<float>(layer - first_offloaded) / static_cast<float>(offloaded);
    const auto device =
        std::find_if(shares.begin(), shares.end(), [&](float share) { return share > place; });
    ++counts[static_cast<std::size_t>(device - shares.begin()) + 1];
  }
  return counts;
}

void expect_exact(const std::vector<int>& counts) {
  const int layers = std::accumulate(counts.begin(), counts.end(), 0);
  ASSERT_EQ(engines_split(layers, gpu_layers(counts), build_tensor_split_string(counts)), counts);
}

TEST(Arguments, EnginePutsExactlyThePlannedLayersOnTwoWorkers) {
  // Beyond 48 layers in larger steps, to 128: all of them would take a minute with sanitizers.
  for (int layers = 2; layers <= 128; layers += layers < 48 ? 1 : 16) {
    for (int master = 0; master <= layers - 2; ++master) {
      for (int first = 1; first < layers - master; ++first)
        expect_exact({master, first, layers - master - first});
    }
  }
}

TEST(Arguments, EnginePutsExactlyThePlannedLayersOnManyWorkers) {
  std::mt19937 random(20'240'611);
  for (int round = 0; round < 10'000; ++round) {
    const int workers = std::uniform_int_distribution<int>(1, 8)(random);
    const int layers = std::uniform_int_distribution<int>(workers, 128)(random);
    std::vector<int> counts(static_cast<std::size_t>(workers) + 1, 1);
    counts[0] = 0;
    std::uniform_int_distribution<std::size_t> rank(0, counts.size() - 1);
    for (int left = layers - workers; left > 0; --left) ++counts[rank(random)];
    expect_exact(counts);
  }
}

MasterArguments three_devices() {
  MasterArguments wanted;
  wanted.model = "/models/a b.gguf";
  wanted.alias = "a";
  wanted.workers = {{"127.0.0.1", 50052}, {"127.0.0.1", 50053}};
  wanted.layers = {10, 10, 10};
  wanted.context = 1024;
  wanted.parallel = 2;
  wanted.threads = 3;
  return wanted;
}

TEST(Arguments, OfTheMaster) {
  const auto list =
      master_arguments(three_devices(), flags_of("llama-server_help"), RpcDeviceNames::by_number);
  ASSERT_TRUE(list.ok()) << list.error().message;
  EXPECT_THAT(
      *list,
      ElementsAre("--model", "/models/a b.gguf", "--host", "127.0.0.1", "--port", "0", "--alias", "a",
                  "--offline", "--metrics", "--no-slots", "--cors-origins", "localhost", "--jinja", "--no-ui",
                  "--log-prefix", "--log-timestamps", "--log-verbosity", "5", "--threads", "3", "--ctx-size",
                  "2048", "--parallel", "2", "--fit", "off", "--cache-ram", "0", "--no-cache-idle-slots",
                  "--load-mode", "none", "--flash-attn", "auto", "--rpc", "127.0.0.1:50052,127.0.0.1:50053",
                  "--device", "RPC0,RPC1", "--split-mode", "layer", "--tensor-split", "10,11", "--gpu-layers",
                  "21", "--override-tensor", R"(^output\.=CPU,^token_embd\.=CPU)"));
}

TEST(Arguments, OfAMasterAlone) {
  MasterArguments wanted = three_devices();
  wanted.workers.clear();
  wanted.layers = {30};
  const auto list = master_arguments(wanted, flags_of("llama-server_help"), RpcDeviceNames::by_number);
  ASSERT_TRUE(list.ok());
  EXPECT_THAT(*list, Not(Contains("--rpc")));
  EXPECT_THAT(*list, Not(Contains("--tensor-split")));
  EXPECT_THAT(*list, Not(Contains("--override-tensor")));
  EXPECT_THAT(join(*list, " "), HasSubstr("--device none --gpu-layers 0"));
}

TEST(Arguments, HeadOnTheLastWorkerNeedsNoOverride) {
  MasterArguments wanted = three_devices();
  wanted.head = HeadPlacement::last_worker;
  wanted.batch = 256;
  wanted.ubatch = 64;
  const auto list = master_arguments(wanted, flags_of("llama-server_help"), RpcDeviceNames::by_number);
  ASSERT_TRUE(list.ok());
  EXPECT_THAT(*list, Not(Contains("--override-tensor")));
  EXPECT_THAT(join(*list, " "), HasSubstr("--batch-size 256 --ubatch-size 64"));
}

TEST(Arguments, OfAnOlderMaster) {
  MasterArguments wanted = three_devices();
  const EngineFlags flags = flags_of("llama-server_help_older");
  const auto refused = master_arguments(wanted, flags, RpcDeviceNames::by_address);
  ASSERT_FALSE(refused.ok()) << "it cannot keep the head on the master";
  EXPECT_EQ(refused.error().code, Code::incompatible);
  EXPECT_THAT(refused.error().message, HasSubstr("--override-tensor"));

  wanted.head = HeadPlacement::last_worker;
  const auto list = master_arguments(wanted, flags, RpcDeviceNames::by_address);
  ASSERT_TRUE(list.ok()) << list.error().message;
  const std::string line = join(*list, " ");
  EXPECT_THAT(line, HasSubstr("--no-mmap --flash-attn --rpc"));
  EXPECT_THAT(line, HasSubstr("--device RPC[127.0.0.1:50052],RPC[127.0.0.1:50053]"));
  EXPECT_THAT(line, HasSubstr("--no-webui"));
  for (const char* newer : {"--fit", "--cache-ram", "--offline", "--load-mode", "auto", "--cors-origins"}) {
    EXPECT_THAT(*list, Not(Contains(newer)));
  }
}

TEST(Arguments, WithoutRpcItSaysHowToGetIt) {
  const EngineFlags flags = EngineFlags::from_help(
      "-m,    --model FNAME                    model\n--host HOST                             host\n"
      "--port PORT                             port\n-t,    --threads N                      threads\n"
      "-c,    --ctx-size N                     size\n-np,   --parallel N                     slots\n");
  const auto list = master_arguments(three_devices(), flags, RpcDeviceNames::by_number);
  ASSERT_FALSE(list.ok());
  EXPECT_EQ(list.error().message, "llama-server was built without RPC");
  EXPECT_THAT(list.error().hint, HasSubstr("-DGGML_RPC=ON"));
}

TEST(Arguments, WrongLayerCountsAreRefused) {
  MasterArguments wanted = three_devices();
  wanted.layers = {10, 20};
  EXPECT_FALSE(master_arguments(wanted, flags_of("llama-server_help"), RpcDeviceNames::by_number).ok());
}

TEST(Arguments, OfAWorker) {
  const EngineFlags flags = flags_of("ggml-rpc-server_help");
  const auto list = worker_arguments({.port = 50052, .threads = 4}, flags);
  ASSERT_TRUE(list.ok());
  EXPECT_THAT(*list,
              ElementsAre("--host", "127.0.0.1", "--port", "50052", "--threads", "4", "--device", "CPU"));
  EXPECT_FALSE(worker_arguments({.port = 50052}, EngineFlags()).ok());
}

}  // namespace
}  // namespace caravan::engine
