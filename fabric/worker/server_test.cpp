#include <atomic>

#include <gtest/gtest.h>

#include "fabric/worker/test_graphs.h"

namespace caravan::fabric::worker {
namespace {

using testing::commands_of;
using testing::identity;
using testing::LocalGraph;
using testing::Master;
using testing::settings;
using testing::Worker;

std::string result_of(Master& master, const LocalGraph& graph) {
  master.say_bytes(commands_of(graph));
  master.say(fabric::Run{1});
  const auto bytes = master.fetch(graph.result());
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  return bytes ? *bytes : "";
}

TEST(FabricServer, WelcomeListsTheDevices) {
  Worker worker;
  Master master(worker.server);
  const auto welcome = master.greet_as_master();
  ASSERT_TRUE(welcome.ok()) << welcome.error().message;
  ASSERT_FALSE(welcome->devices.empty());
  EXPECT_EQ(welcome->devices.front().total_bytes, settings().memory_limit);
  EXPECT_EQ(welcome->threads, 1U);
}

TEST(FabricServer, ResultsEqualTheEnginesBitByBit) {
  for (const auto& [name, build] : testing::named_graphs()) {
    Worker worker;
    const LocalGraph graph(build);
    Master master(worker.server);
    ASSERT_TRUE(master.greet_as_master().ok());
    master.say(Open{0, 0, 1, 1});
    EXPECT_EQ(result_of(master, graph), graph.computed()) << name;
  }
}

TEST(FabricServer, ADifferenceRunsLikeTheWholeGraph) {
  Worker worker;
  const LocalGraph graph(&testing::product);
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  const std::string whole = result_of(master, graph);
  // The same product, of the first column only.
  const Graph base = graph.described();
  Graph less = graph.described(2);
  const std::uint32_t input = less.tensors[0].sources[1];
  for (const std::uint32_t each : {std::uint32_t{0}, input}) {
    GraphTensor& tensor = less.tensors[each];
    tensor.ne[1] = 1;
    tensor.nb[2] = tensor.nb[3] = tensor.nb[1];
  }
  std::string frame;
  append_graph(frame, less, &base);
  master.say(Fill{graph.result(), 0});
  master.say_bytes(frame);
  master.say(fabric::Run{2});
  const auto bytes = master.fetch(graph.result());
  ASSERT_TRUE(bytes.ok()) << bytes.error().message;
  EXPECT_EQ(bytes->substr(0, 128), whole.substr(0, 128));
  EXPECT_EQ(bytes->substr(128), std::string(bytes->size() - 128, '\0'));
}

TEST(FabricServer, TheStrideOfASingleRowMayBeAnything) {
  const LocalGraph graph(&testing::sampling);
  Graph odd = graph.described(2);
  for (GraphTensor& tensor : odd.tensors) {
    if (tensor.op == GGML_OP_ARGSORT) tensor.nb[1] = tensor.nb[2] = tensor.nb[3] = 0;
  }
  const auto bytes = testing::result_of_variant(graph, odd);
  ASSERT_TRUE(bytes.ok()) << bytes.error().message;
  EXPECT_EQ(*bytes, graph.computed());
}

TEST(FabricServer, RowNumbersMayBeSeenThroughAViewOfATensorThatIsNotInTheGraph) {
  const LocalGraph graph([](ggml_context* c) {
    return ggml_get_rows(c, testing::leaf(c, "rows", GGML_TYPE_F32, 4, 4),
                         testing::leaf(c, "numbers", GGML_TYPE_I32, 3));
  });
  Graph through_view = graph.described(2);
  through_view.tensors[through_view.tensors[0].sources[1]].view_source = kViewOfOther;
  const auto bytes = testing::result_of_variant(graph, through_view);
  ASSERT_TRUE(bytes.ok()) << bytes.error().message;
  EXPECT_EQ(*bytes, graph.computed());
}

TEST(FabricServer, RowNumbersThatTheGraphComputesAreChecked) {
  // Numbers made of floats: 0 and 1 at first, then one that is out of range.
  const LocalGraph graph([](ggml_context* c) {
    ggml_tensor* numbers =
        ggml_cast(c, ggml_clamp(c, testing::leaf(c, "x", GGML_TYPE_F32, 3), 0, 1), GGML_TYPE_I32);
    return ggml_get_rows(c, testing::leaf(c, "rows", GGML_TYPE_F32, 4, 2), numbers);
  });
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  EXPECT_EQ(result_of(master, graph), graph.computed());
  Graph wrong = graph.described(2);
  for (GraphTensor& tensor : wrong.tensors) {
    const float two = 2;
    if (tensor.op != GGML_OP_CLAMP) continue;
    std::memcpy(&tensor.parameters[0], &two, sizeof(two));
    std::memcpy(&tensor.parameters[1], &two, sizeof(two));
  }
  std::string frame;
  append_graph(frame, wrong);
  master.say_bytes(frame);
  master.say(fabric::Run{2});
  EXPECT_NE(master.last_words().message.find("out of range"), std::string::npos);
}

/// The product with its weight in the engine's own repacked memory.
std::string repacked_product(const LocalGraph& graph) {
  const auto kinds = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
      ggml_backend_dev_backend_reg(ggml_backend_dev_get(0)), "ggml_backend_dev_get_extra_bufts"))(
      ggml_backend_dev_get(0));
  ggml_tensor* weight = graph.leaf("weight");
  ggml_tensor repacked = *weight;
  const BufferHandle buffer(ggml_backend_buft_alloc_buffer(kinds[0], ggml_nbytes(weight)));
  repacked.buffer = buffer.get();
  repacked.data = ggml_backend_buffer_get_base(buffer.get());
  ggml_backend_buffer_init_tensor(buffer.get(), &repacked);
  if (repacked.extra == nullptr) return "";
  ggml_backend_tensor_set(&repacked, weight->data, 0, ggml_nbytes(weight));
  const ggml_tensor before = *weight;
  *weight = repacked;
  std::string result = graph.computed();
  *weight = before;
  return result;
}

/// Where this processor has no such layout the weight stays as it is, and can be read back.
TEST(FabricServer, ALaidOutWeightIsRepackedAsTheEngineDoes) {
  LocalGraph graph(&testing::product);
  const std::string repacked = repacked_product(graph);
  const std::string wanted = repacked.empty() ? graph.computed() : repacked;
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  const ggml_tensor* weight = graph.leaf("weight");
  const Region place = graph.region_of(weight);
  master.say(Alloc{place.buffer, graph.image().size()});
  master.say(Set{place.buffer, 0, graph.image()});
  master.say(Layout{place.buffer, place.offset, GGML_TYPE_Q4_0, {64, 32, 1, 1}});
  const std::string_view bytes = std::string_view(graph.image()).substr(place.offset, place.size);
  master.say(Set{place.buffer, place.offset, bytes.substr(0, 100)});
  master.say(Set{place.buffer, place.offset + 100, bytes.substr(100)});
  std::string frame;
  append_graph(frame, graph.described());
  master.say_bytes(frame);
  master.say(fabric::Run{1});
  const auto result = master.fetch(graph.result());
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(*result, wanted);
  if (repacked.empty()) {
    const auto plain = master.fetch(place);
    ASSERT_TRUE(plain.ok()) << plain.error().message;
    EXPECT_EQ(*plain, bytes);
  } else {
    master.say(Get{1, place});
    EXPECT_NE(master.last_words().message.find("repacked"), std::string::npos);
  }
}

TEST(FabricServer, OneWorkerHandsOverToTheNext) {
  for (const Format format : {Format::as_is, Format::f16, Format::q8_0}) {
    Worker first(1);
    Worker second(9);
    auto listener = Listener::open("127.0.0.1:0", Addresses::loopback);
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    const std::string address = listener->address();
    second.server.serve(std::move(*listener));
    Master a(first.server);
    Master b(second.server);
    ASSERT_TRUE(a.greet_as_master().ok());
    ASSERT_TRUE(b.greet_as_master(identity(9)).ok());
    std::vector<float> values(64);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 64;
    const std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    a.say(Open{0, 0, 1, 5});
    a.say(Peer{1, identity(9).key, address});
    a.say(Alloc{1, bytes.size()});
    a.say(Set{1, 0, bytes});
    b.say(Open{1, 0, 1, 5});
    b.say(Alloc{2, bytes.size() + 8});
    b.say(Receive{11, 0, {2, 8, bytes.size()}});
    b.say(Receive{12, 0, {2, 0, 0}});
    a.say(Send{11, 1, format, {1, 0, bytes.size()}});
    a.say(Send{12, 1, Format::as_is, {1, 0, 0}});
    const auto got = b.fetch({2, 8, bytes.size()});
    ASSERT_TRUE(got.ok()) << got.error().message;
    if (format == Format::as_is) {
      EXPECT_EQ(*got, bytes);
    }
    std::vector<float> received(64);
    std::memcpy(received.data(), got->data(), got->size());
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(received[i], values[i], 0.005);
  }
}

TEST(FabricServer, AHandOffOfAnotherSessionIsRefused) {
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{1, 0, 1, 5});
  master.say(Ping{1});
  ASSERT_TRUE(master.hear_message<Pong>().ok());
  Master peer(worker.server);
  Hello hello;
  hello.role = Role::peer;
  hello.session = 6;
  ASSERT_TRUE(peer.greet_as(hello).ok());
  peer.say(HandOff{1, 4, 0, Format::as_is, "data"});
  EXPECT_EQ(peer.last_words().code, Code::disconnected);
}

TEST(FabricServer, APeerMayHandOverAndNothingElse) {
  Worker worker;
  Hello hello;
  hello.role = Role::peer;
  for (const std::string& frame :
       {testing::frame_of(Alloc{1, 4}), testing::frame_of(HandOff{1, 4, 2, Format::as_is, "da"}),
        testing::frame_of(HandOff{1, ~std::uint64_t{0}, 0, Format::as_is, "data"}),
        std::string(64, '\xff')}) {
    Master peer(worker.server);
    ASSERT_TRUE(peer.greet_as(hello).ok());
    peer.say_bytes(frame);
    EXPECT_EQ(peer.last_words().code, Code::invalid);
  }
  Master master(worker.server);
  EXPECT_TRUE(master.greet_as_master().ok());
}

TEST(FabricServer, WithoutTheKeyNothingIsTaken) {
  Worker worker;
  Master master(worker.server);
  const auto welcome = master.greet_as_master(identity(2));
  ASSERT_FALSE(welcome.ok());
  EXPECT_NE(welcome.error().message.find("key"), std::string::npos) << welcome.error().message;
  Master rude(worker.server);
  rude.say(Alloc{1, 4});
  EXPECT_EQ(rude.last_words().code, Code::invalid);
  Master other(worker.server);
  Identity build = identity();
  build.engine = "ggml 0 other";
  EXPECT_EQ(other.greet_as_master(build).error().code, Code::incompatible);
}

TEST(FabricServer, ASecondMasterIsRefusedAndTheNextOneServed) {
  Worker worker;
  auto first = std::make_unique<Master>(worker.server);
  ASSERT_TRUE(first->greet_as_master().ok());
  first->say(Open{0, 0, 1, 1});
  first->say(Alloc{1, std::uint64_t{20} << 20U});
  first->say(Ping{1});
  ASSERT_TRUE(first->hear_message<Pong>().ok());
  Master second(worker.server);
  EXPECT_EQ(second.greet_as_master().error().code, Code::unavailable);
  for (int i = 0; i < 3; ++i) {
    first->hang_up();
    first = std::make_unique<Master>(worker.server);
    const auto welcome = first->greet_as_master();
    ASSERT_TRUE(welcome.ok()) << welcome.error().message;
    // There would not be room for both.
    first->say(Open{0, 0, 1, 1});
    first->say(Alloc{1, std::uint64_t{20} << 20U});
    first->say(Ping{1});
    ASSERT_TRUE(first->hear_message<Pong>().ok());
  }
}

TEST(FabricServer, AMasterThatGoesDuringAGraphIsForgotten) {
  Worker worker;
  // Each run takes a while; all of them would take minutes.
  const LocalGraph graph([](ggml_context* c) {
    ggml_tensor* x = testing::leaf(c, "x", GGML_TYPE_F32, 256, 256);
    ggml_tensor* y = x;
    for (int i = 0; i < 64; ++i) y = ggml_mul_mat(c, x, y);
    return y;
  });
  {
    Master master(worker.server);
    ASSERT_TRUE(master.greet_as_master().ok());
    master.say(Open{0, 0, 1, 1});
    master.say_bytes(commands_of(graph));
    master.say(Ping{1});
    ASSERT_TRUE(master.hear_message<Pong>().ok());
    for (int i = 0; i < 1000; ++i) master.say(fabric::Run{1});
    master.hang_up();
  }
  Master next(worker.server);
  const auto welcome = next.greet_as_master();
  EXPECT_TRUE(welcome.ok()) << welcome.error().message;
}

TEST(FabricServer, AfterEachMasterItDoesWhatItWasAskedTo) {
  std::atomic<int> times{0};  // outlives the server, which may call a last time while it ends
  Worker worker;
  worker.server.after_each_master([&times] { ++times; });
  for (int masters = 0; masters < 3; ++masters) {
    Master master(worker.server);
    ASSERT_TRUE(master.greet_as_master().ok());
    EXPECT_EQ(times, masters) << "before the next one is served, and not while one is";
    master.hang_up();
  }
}

TEST(FabricServer, APeerThatSaysNothingDoesNotKeepTheWorker) {
  Worker worker;
  const auto silent = Listener::open("127.0.0.1:0", Addresses::loopback);
  ASSERT_TRUE(silent.ok()) << silent.error().message;
  {
    Master master(worker.server);
    ASSERT_TRUE(master.greet_as_master().ok());
    master.say(Open{0, 0, 1, 1});
    master.say(Peer{1, identity().key, silent->address()});
    master.say(Alloc{1, 4});
    master.say(Ping{1});
    ASSERT_TRUE(master.hear_message<Pong>().ok());
    master.say(Send{1, 1, Format::as_is, {1, 0, 4}});
    master.hang_up();
  }
  Master next(worker.server);
  const auto welcome = next.greet_as_master();
  EXPECT_TRUE(welcome.ok()) << welcome.error().message;
}

TEST(FabricServer, BeatsComeWhateverIsWaitedFor) {
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Alloc{1, 4});
  master.say(Pulse{kLeastPulse});
  master.say(Receive{1, 0, {1, 0, 4}});
  for (std::uint32_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(master.hear_message<Beat>()->count, i);
    EXPECT_EQ(master.hear_message<Progress>()->doing, Doing::wait_peer);
  }
}

TEST(FabricServer, StopEndsWhateverGoesOn) {
  Worker worker;
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Alloc{1, 4});
  master.say(Receive{1, 0, {1, 0, 4}});
  Master greeted(worker.server);
  worker.server.stop();
  EXPECT_FALSE(worker.server.busy());
}

TEST(FabricServer, TheTimelineSaysWhatWasDone) {
  Worker worker;
  const LocalGraph graph(&testing::product);
  Master master(worker.server);
  ASSERT_TRUE(master.greet_as_master().ok());
  master.say(Open{0, 0, 1, 1});
  master.say(Stats{1, StatsAction::start});
  ASSERT_TRUE(master.hear_message<Timeline>().ok());
  (void)result_of(master, graph);
  master.say(Stats{2, StatsAction::stop});
  const auto timeline = master.hear_message<Timeline>();
  ASSERT_TRUE(timeline.ok());
  EXPECT_TRUE(std::any_of(timeline->spans.begin(), timeline->spans.end(),
                          [](const Span& span) { return span.doing == Doing::compute && span.detail == 1; }));
}

}  // namespace
}  // namespace caravan::fabric::worker
