// One message of every type with values that show each field's place: for tests only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/wire/dispatch.h"
#include "fabric/wire/graph.h"

namespace caravan::fabric::testing {

template <std::size_t N>
std::array<std::uint8_t, N> counting(std::uint8_t first) {
  std::array<std::uint8_t, N> bytes{};
  for (std::size_t i = 0; i < N; ++i) bytes[i] = static_cast<std::uint8_t>(first + i);
  return bytes;
}

/// Two leaves, a product and its view: what read_graph accepts.
inline Graph small_graph() {
  Graph graph;
  graph.id = 0x0a0b;
  graph.node_count = 2;
  graph.tensors.resize(4);
  GraphTensor& product = graph.tensors[0];
  product.op = 29;
  product.flags = 16;
  product.uses = 1;
  product.buffer = 2;
  product.offset = 256;
  product.ne = {3, 2, 1, 1};
  product.nb = {4, 12, 24, 24};
  product.parameters[1] = -1;
  product.sources[0] = 2;
  product.sources[1] = 3;
  GraphTensor& view = graph.tensors[1];
  view.op = 36;
  view.buffer = 2;
  view.offset = 268;
  view.ne = {3, 1, 1, 1};
  view.nb = {4, 12, 12, 12};
  view.sources[0] = 0;
  view.view_source = 0;
  view.view_offset = 12;
  for (GraphTensor* leaf : {&graph.tensors[2], &graph.tensors[3]}) {
    leaf->buffer = 1;
    leaf->ne = {5, leaf == &graph.tensors[2] ? 3 : 2, 1, 1};
    leaf->nb = {4, 20, 60, 60};
  }
  return graph;
}

/// As small_graph, with the view moved on.
inline Graph next_graph() {
  Graph graph = small_graph();
  graph.id = 0x0a0c;
  graph.tensors[1].offset = 256;
  graph.tensors[1].view_offset = 0;
  return graph;
}

template <typename M>
std::string frame_of(const M& message) {
  std::string frame;
  append_message(frame, message);
  return frame;
}

inline std::vector<std::string> greeting_frames(Role role) {
  return {frame_of(Hello{kMagic, kProtocolVersion, role, 3, 0x77, counting<32>(1), "b1250"}),
          frame_of(Proof{counting<32>(0x40)})};
}

/// Seven values of two bytes, 0x3f01 to 0x3f07, as they are packed (docs/fabric-store.md).
constexpr std::string_view kPackedData{"\x63\x64\x62\x66\x61\x65\x63\xb7\xb7\xb7\xb7\xb7\xb7\xb7\x07\x00",
                                       16};

inline std::vector<std::string> command_frames() {
  std::vector<std::string> frames{
      frame_of(Open{1, 2, 3, 0x77}),
      frame_of(Peer{2, counting<32>(0x80), "127.0.0.1:4012"}),
      frame_of(Alloc{1, 0x0102030405}),
      frame_of(Free{1}),
      frame_of(Set{1, 2, "data"}),
      frame_of(SetRows{1, 2, 3, 4, "abcdef"}),
      frame_of(Fill{{1, 2, 3}, 0xff}),
      frame_of(Copy{{1, 2, 3}, 4, 5}),
      frame_of(Layout{1, 2, 8, {32, 64, 1, 1}}),
      frame_of(DropGraph{7}),
      frame_of(Run{0x1122334455667788}),
      frame_of(Get{9, {1, 2, 3}}),
      frame_of(Send{0x55, 2, Format::f16, {1, 2, 3}}),
      frame_of(Receive{0x55, 1, {1, 2, 3}}),
      frame_of(Weight{6, 1, 2, {counting<32>(0x10), 4}}),
      frame_of(WeightsEnd{8}),
      frame_of(Stream{6, 2, Packing::plain, "data"}),
      frame_of(Stream{6, 2, Packing::two_bytes, kPackedData}),
      frame_of(Stats{8, StatsAction::stop}),
      frame_of(Ping{8}),
      frame_of(Pulse{500}),
      frame_of(Reduce{0x55, 7, 5, {1, 4, 8}}),
  };
  std::string graph;
  append_graph(graph, small_graph());
  frames.push_back(graph);
  graph.clear();
  const Graph base = small_graph();
  append_graph(graph, next_graph(), &base);
  frames.push_back(graph);
  return frames;
}

inline std::vector<std::string> answer_frames() {
  return {
      frame_of(Welcome{4, {{"CPU", "a processor", DeviceKind::cpu, 1, 2, 64, 3}}}),
      frame_of(Data{9, 1, "data"}),
      frame_of(Missing{8, {{6, 0}, {7, 9}}}),
      frame_of(Timeline{8, 100, 1, {{Doing::wait_peer, 10, 20, 0x55}}}),
      frame_of(Pong{8, 1, 2}),
      frame_of(ErrorMessage{ErrorCode::exhausted, 1, 18, "cause", "cure"}),
      frame_of(Beat{3}),
  };
}

inline std::string hand_off_frame() { return frame_of(HandOff{0x55, 6, 2, Format::q8_0, "data"}); }

}  // namespace caravan::fabric::testing
