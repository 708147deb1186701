#include "engine/output.h"

#include <map>

#include <gmock/gmock.h>

#include "engine/output_ring.h"
#include "engine/testing.h"

namespace caravan::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::recorded_lines;

template <typename Event>
std::optional<Event> parse(std::string_view line) {
  const auto event = parse_engine_line(line);
  if (!event || !std::holds_alternative<Event>(*event)) return std::nullopt;
  return std::get<Event>(*event);
}

TEST(EngineOutput, LevelOfALine) {
  EXPECT_EQ(split_level("0.01.234.567 W srv  x: y").level, 'W');
  EXPECT_EQ(split_level("0.01.234.567 W srv  x: y").text, "srv  x: y");
  EXPECT_EQ(split_level("123.59.999.999 D x").level, 'D');
  EXPECT_EQ(split_level("\x1b[0m0.01.374.412 D \x1b[1mPhase 1").level, 'D')
      << "colours that a message left on";
  for (const char* line :
       {"", " ", "0.01.234.567", "0.01.234.567 ", "0.01.234.567 Q x", "0.01 W x", "W x", "E", "\x1b["}) {
    EXPECT_EQ(split_level(line).level, '\0') << line;
    EXPECT_EQ(split_level(line).text, line);
  }
}

TEST(EngineOutput, LayersOfARealLoad) {
  std::map<std::string, std::vector<int>> layers;
  for (const std::string& line : recorded_lines("loaded")) {
    if (const auto layer = parse<LayerAssigned>(line)) layers[layer->device].push_back(layer->layer);
  }
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_THAT(layers["CPU"], ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(layers["RPC0"], ElementsAre(10, 11, 12, 13, 14, 15, 16, 17, 18, 19));
  EXPECT_THAT(layers["RPC1"], ElementsAre(20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30));
}

TEST(EngineOutput, BuffersOfARealLoad) {
  std::map<std::pair<std::string, BufferSize::Kind>, Bytes> buffers;
  for (const std::string& line : recorded_lines("loaded")) {
    if (const auto buffer = parse<BufferSize>(line)) buffers[{buffer->device, buffer->kind}] += buffer->bytes;
  }
  const auto mib = [&](const char* device, BufferSize::Kind kind) {
    return static_cast<double>(buffers[{device, kind}].count) / static_cast<double>(1U << 20U);
  };
  using Kind = BufferSize::Kind;
  EXPECT_NEAR(mib("CPU", Kind::model), 49.83, 0.005);
  EXPECT_NEAR(mib("RPC0[127.0.0.1:50082]", Kind::model), 21.14, 0.005);
  EXPECT_NEAR(mib("RPC0[127.0.0.1:50083]", Kind::model), 21.14, 0.005);
  EXPECT_NEAR(mib("RPC0[127.0.0.1:50083]", Kind::kv), 3.75, 0.005);
  EXPECT_NEAR(mib("RPC0[127.0.0.1:50082]", Kind::compute), 11.76, 0.005);
  EXPECT_NEAR(mib("CPU", Kind::output), 0.19, 0.005);
  EXPECT_EQ(buffers.size(), 10U);
}

TEST(EngineOutput, ARealLoadGoesThroughItsStepsAndListens) {
  std::vector<LoadStep> steps;
  std::vector<Listening> addresses;
  for (const std::string& line : recorded_lines("loaded")) {
    if (const auto step = parse<LoadStep>(line)) steps.push_back(*step);
    if (const auto address = parse<Listening>(line)) addresses.push_back(*address);
    EXPECT_FALSE(parse<Trouble>(line)) << line;
  }
  EXPECT_THAT(steps, ElementsAre(LoadStep::reading_model, LoadStep::sending_weights, LoadStep::making_context,
                                 LoadStep::warming_up, LoadStep::loaded));
  ASSERT_EQ(addresses.size(), 1U);
  EXPECT_EQ(addresses[0].host, "127.0.0.1");
  EXPECT_GT(addresses[0].port, 1024);
}

TEST(EngineOutput, LinesOfOlderBuilds) {
  const auto layer =
      parse<LayerAssigned>("load_tensors: layer   3 assigned to device RPC[10.0.0.2:50052], is_swa = 0");
  ASSERT_TRUE(layer);
  EXPECT_EQ(layer->device, "RPC[10.0.0.2:50052]");
  const auto address =
      parse<Listening>("main: HTTP server is listening, hostname: 127.0.0.1, port: 8080, http threads: 7");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->host, "127.0.0.1");
  EXPECT_EQ(address->port, 8080);
}

TEST(EngineOutput, TheFabricsWorkerListensAndItsModuleFails) {
  const auto listening = parse_engine_line("listening 127.0.0.1:40123");
  ASSERT_TRUE(listening && std::holds_alternative<Listening>(*listening));
  EXPECT_EQ(std::get<Listening>(*listening).host, "127.0.0.1");
  EXPECT_EQ(std::get<Listening>(*listening).port, 40123);
  const std::string line = "caravan: stage 1 (pixel-6) failed: no answer";
  const auto failed = parse_engine_line(line);
  ASSERT_TRUE(failed && std::holds_alternative<FabricFailed>(*failed));
  EXPECT_EQ(std::get<FabricFailed>(*failed).text, "stage 1 (pixel-6) failed: no answer");
  EXPECT_TRUE(keep_in_log(line, true));
  EXPECT_FALSE(keep_in_log("0.00.001.000 D " + line, true)) << "a request that quotes it";
}

TEST(EngineOutput, Banner) {
  EXPECT_TRUE(parse<ClientAccepted>("Accepted client connection"));
  EXPECT_FALSE(parse<ClientAccepted>("Client connection closed"));
  const auto banner = parse<RpcBanner>("Starting RPC server v7.0.1");
  ASSERT_TRUE(banner);
  EXPECT_EQ(banner->major, 7);
  EXPECT_EQ(banner->minor, 0);
  EXPECT_EQ(banner->patch, 1);
}

TEST(EngineOutput, BrokenLinesAreNoEvents) {
  for (const char* line :
       {"layer  assigned to device RPC0", "layer -1 assigned to device RPC0", "layer 1 assigned to device ",
        "layer 99999999999 assigned to device RPC0",
        "x: CPU model buffer size = ", "x: CPU model buffer size = 1e9 MiB",
        "x: CPU model buffer size = -1.00 MiB", "x: CPU strange buffer size = 1.00 MiB",
        "buffer size = 1.00 MiB", "listening on http://", "listening on http://127.0.0.1",
        "listening on http://127.0.0.1:0", "listening on http://127.0.0.1:70000", "Starting RPC server v7",
        "Starting RPC server v7.0.x", "Starting RPC server v7.0.999"}) {
    EXPECT_FALSE(parse_engine_line(line)) << line;
  }
}

TEST(EngineOutput, WhatAModelOrAPersonSaysIsNoTrouble) {
  EXPECT_FALSE(
      parse_engine_line("0.00.024.954 I llama_model_loader: - kv 2: general.name str = error loading model"));
  EXPECT_FALSE(parse_engine_line("0.01.024.954 D Parsed message: {\"content\":\"std::bad_alloc\"}"));
  EXPECT_FALSE(parse_engine_line("see a.cpp:12 for more"));
  EXPECT_TRUE(parse<Trouble>("/home/me/ggml/src/ggml.c:12: GGML_ASSERT(x) failed"));
}

TEST(EngineOutput, TroubleNamesTheWorkerAndSparesTheFolder) {
  const auto trouble =
      parse<Trouble>("/home/me/ggml-rpc/ggml-rpc.cpp:547: Failed to connect to 10.0.0.2:50052");
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->kind, Trouble::Kind::worker_lost);
  EXPECT_EQ(trouble->worker, "10.0.0.2:50052");
  EXPECT_EQ(trouble->text, "ggml-rpc.cpp:547: Failed to connect to 10.0.0.2:50052");
}

TEST(EngineOutput, LogKeepsEverythingUntilItServes) {
  EXPECT_TRUE(keep_in_log("0.00.1.1 D anything", false));
  EXPECT_TRUE(keep_in_log("", false));
}

TEST(EngineOutput, LogOfAServingEngineHasNothingThatPeopleSaid) {
  for (const char* line :
       {"0.02.124.800 D slot process_toke: n_gen = 2, next token:  3575 ' capital'",
        "0.02.223.078 D Parsed message: {\"role\":\"assistant\",\"content\":\"The capital\"}",
        "0.02.102.699 I slot launch_slot_: id  0 | task 0 | processing task", "root ::= \"secret\"",
        "\x1b[0m0.01.374.412 D \x1b[1mPhase 1: a prompt", "'", "",
        "error: unknown argument: --quoted-from-a-prompt"}) {
    EXPECT_FALSE(keep_in_log(line, true)) << line;
  }
  for (const char* line : {"0.01.732.350 E send failed (bytes_sent=0, size_to_send=8)",
                           "0.03.224.702 W srv          stop: cancel task, id_task = 9",
                           "/x/ggml-rpc.cpp:566: Remote RPC server crashed or returned malformed response"}) {
    EXPECT_TRUE(keep_in_log(line, true)) << line;
  }
}

TEST(OutputRing, KeepsBothEnds) {
  OutputRing ring;
  constexpr std::size_t kTotal = 1000;
  for (std::size_t i = 0; i < kTotal; ++i) ring.add("line " + std::to_string(i));
  const auto lines = ring.lines();
  ASSERT_EQ(lines.size(), OutputRing::kFirstLines + OutputRing::kLastLines);
  EXPECT_EQ(lines.front(), "line 0");
  EXPECT_EQ(lines[OutputRing::kFirstLines - 1], "line 15");
  EXPECT_EQ(lines[OutputRing::kFirstLines], "line " + std::to_string(kTotal - OutputRing::kLastLines));
  EXPECT_EQ(lines.back(), "line 999");
  EXPECT_THAT(ring.summary(), HasSubstr("line 15\n... 936 lines left out ...\nline 952\n"));
}

TEST(OutputRing, SummaryOfFewLinesIsAllOfThem) {
  OutputRing ring;
  ring.add("one");
  ring.add("two");
  EXPECT_EQ(ring.summary(), "one\ntwo\n");
}

TEST(OutputRing, KeepsTheFirstTroublesUntilForgotten) {
  OutputRing ring;
  for (int i = 0; i < 100; ++i) ring.add_trouble({Trouble::Kind::aborted, std::to_string(i), ""});
  ASSERT_EQ(ring.troubles().size(), OutputRing::kTroubles);
  EXPECT_EQ(ring.troubles().front().text, "0");
  ring.forget_troubles();
  EXPECT_TRUE(ring.troubles().empty());
}

}  // namespace
}  // namespace caravan::engine
