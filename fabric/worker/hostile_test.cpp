// A session that works, changed in thousands of ways: whatever a master says, the worker lives.
#include <gtest/gtest.h>

#include "fabric/worker/test_graphs.h"

namespace caravan::fabric::worker {
namespace {

using testing::commands_of;
using testing::frame_of;
using testing::LocalGraph;

WorkerSettings small_settings() {
  WorkerSettings settings;
  settings.memory_limit = std::uint64_t{16} << 20U;
  settings.hand_off_time = Milliseconds(0);
  return settings;
}

/// Of the standard's engines, unlike its distributions, each gives the same numbers everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t limit) {
    return limit == 0 ? 0 : static_cast<std::size_t>(engine_() % limit);
  }

 private:
  std::mt19937_64 engine_;
};

std::vector<std::string> split_frames(std::string_view bytes) {
  std::vector<std::string> frames;
  while (bytes.size() >= kHeaderBytes) {
    const auto header = read_header(bytes.substr(0, kHeaderBytes), {Role::master, true});
    if (!header) break;
    frames.emplace_back(bytes.substr(0, kHeaderBytes + header->payload_bytes));
    bytes.remove_prefix(frames.back().size());
  }
  return frames;
}

/// What a master says that uses every command, with each of the graphs.
std::vector<std::string> session_of(const LocalGraph& graph) {
  const std::uint32_t buffer = LocalGraph::kBuffer;
  const std::string commands = commands_of(graph);
  std::vector<std::string> frames{frame_of(Open{0, 0, 1, 1})};
  for (std::string& frame : split_frames(commands)) frames.push_back(std::move(frame));
  if (const ggml_tensor* weight = graph.leaf("weight")) {
    const Region place = graph.region_of(weight);
    frames.insert(frames.begin() + 2, frame_of(Layout{buffer, place.offset, GGML_TYPE_Q4_0, {64, 32, 1, 1}}));
    // SETs that follow a layout come weight by weight.
    frames.erase(frames.begin() + 3);
    const std::string_view image = graph.image();
    frames.insert(frames.begin() + 3,
                  frame_of(Set{buffer, place.offset, image.substr(place.offset, place.size)}));
  }
  const Content content{hash_of("data"), 4};
  for (const std::string& frame :
       {frame_of(fabric::Run{1}), frame_of(Get{1, graph.result()}), frame_of(Alloc{6, 4096}),
        frame_of(Copy{{buffer, 0, 64}, 6, 64}), frame_of(SetRows{6, 0, 4, 8, "12345678"}),
        frame_of(Fill{{6, 128, 64}, 3}), frame_of(Weight{0, 6, 0, content}), frame_of(WeightsEnd{3}),
        frame_of(Stream{0, 0, Packing::plain, "data"}), frame_of(fabric::Run{1}),
        frame_of(Stats{4, StatsAction::start}), frame_of(Ping{5}), frame_of(Pulse{1000}), frame_of(Free{6}),
        frame_of(fabric::Run{1}), frame_of(Stats{6, StatsAction::stop}), frame_of(DropGraph{1}),
        frame_of(Peer{1, {}, "127.0.0.1:1"}), frame_of(Receive{1, 1, {buffer, 0, 16}})})
    frames.push_back(frame);
  return frames;
}

/// Numbers on which arithmetic fails.
void write_number(std::string& frame, std::size_t at, Random& random) {
  constexpr std::array<std::uint64_t, 12> kNumbers{
      0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000U, 0xffffffffU, 1ULL << 40U, ~0ULL >> 1U, ~0ULL};
  std::uint64_t number = kNumbers.at(random.below(kNumbers.size())) + random.below(3) - 1;
  const std::size_t width = std::size_t{1} << random.below(4);
  for (std::size_t i = 0; i < width && at + i < frame.size(); ++i) {
    frame[at + i] = static_cast<char>(number & 0xffU);
    number >>= 8U;
  }
}

/// One change; headers stay what they are, so that what is changed is looked at.
void change(std::vector<std::string>& frames, Random& random) {
  std::size_t which = random.below(frames.size());
  // Graphs are where the most can be wrong.
  if (random.below(2) == 0) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (frames[i][4] == static_cast<char>(Type::graph)) which = i;
    }
  }
  std::string& frame = frames[which];
  const std::size_t at = kHeaderBytes + random.below(frame.size() - kHeaderBytes);
  switch (random.below(8)) {
    case 0:
      frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(which));
      if (frames.empty()) frames.push_back(frame_of(Ping{1}));
      break;
    case 1: {
      const std::string again = frame;
      frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(random.below(frames.size())), again);
      break;
    }
    case 2:
      std::swap(frame, frames[random.below(frames.size())]);
      break;
    case 3:
    case 4:
      if (at < frame.size())
        frame[at] = static_cast<char>(frame[at] ^ static_cast<char>(1U << random.below(8)));
      break;
    default:
      write_number(frame, at, random);
  }
}

/// Says all of it to a worker; the number of commands that it took.
std::size_t play(const std::vector<std::string>& frames, Mailbox& mailbox) {
  WeightsInMemory weights;
  std::size_t answered = 0;
  Executor executor(small_settings(), mailbox, weights,
                    {[&answered](std::string_view frame) -> Result<void> {
                       answered += frame.size();
                       return {};
                     },
                     [](Milliseconds) {}});
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto header =
        read_header(std::string_view(frames[i]).substr(0, kHeaderBytes), {Role::master, true});
    if (!header) return i;
    if (!executor.execute(header->type, std::string_view(frames[i]).substr(kHeaderBytes))) return i;
  }
  return frames.size();
}

TEST(FabricHostile, TheSessionsWorkUnchanged) {
  Mailbox mailbox{Mailbox::Limits{}};
  for (const auto& [name, build] : testing::named_graphs()) {
    const LocalGraph graph(build);
    const auto frames = session_of(graph);
    // The last command waits for a peer that is not there.
    EXPECT_EQ(play(frames, mailbox), frames.size() - 1) << name;
  }
}

TEST(FabricHostile, TenThousandChangedSessionsDoNoHarm) {
  Mailbox mailbox{Mailbox::Limits{}};
  std::vector<std::vector<std::string>> sessions;
  for (const auto& [name, build] : testing::named_graphs()) sessions.push_back(session_of(LocalGraph(build)));
  std::size_t refused = 0;
  for (std::uint64_t seed = 0; seed < 10000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    auto frames = sessions[random.below(sessions.size())];
    const std::size_t last = frames.size() - 1;
    for (std::size_t changes = 1 + random.below(3); changes > 0; --changes) change(frames, random);
    if (play(frames, mailbox) < last) ++refused;
  }
  EXPECT_EQ(mailbox.held(), 0U);
  EXPECT_GT(refused, 2000U) << "the changes have to be seen";
}

TEST(FabricHostile, GarbledBytesOnTheConnectionEndItAndNothingElse) {
  WeightsInMemory weights;
  Server server(testing::identity(), small_settings(), weights, nullptr);
  const LocalGraph graph(&testing::product);
  std::string session;
  for (const std::string& frame : session_of(graph)) session += frame;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::string bytes = session;
    for (int i = 0; i < 3; ++i) write_number(bytes, random.below(bytes.size()), random);
    bytes.resize(random.below(bytes.size()) + 1);
    testing::Master master(server);
    const auto welcome = master.greet_as_master();
    ASSERT_TRUE(welcome.ok()) << welcome.error().message;
    master.say_bytes(bytes);
    master.hang_up();
  }
}

}  // namespace
}  // namespace caravan::fabric::worker
