// For tests: a master that speaks to a worker, and graphs made with ggml itself, whose results are the
// measure.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml-impl.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include "fabric/net/greeting.h"
#include "fabric/net/testing.h"
#include "fabric/ops/engine.h"
#include "fabric/wire/golden.h"
#include "fabric/worker/server.h"

namespace caravan::fabric::worker::testing {

using fabric::testing::counting;
using fabric::testing::frame_of;
using fabric::testing::socket_pair;

inline Identity identity(std::uint8_t first = 1) { return {counting<32>(first), engine_build()}; }

inline WorkerSettings settings() {
  WorkerSettings settings;
  settings.memory_limit = std::uint64_t{32} << 20U;
  return settings;
}

/// A worker in this process.
struct Worker {
  explicit Worker(std::uint8_t key = 1, WorkerSettings how = settings())
      : server(identity(key), how, weights, nullptr) {}
  WeightsInMemory weights;
  Server server;
};

class Master {
 public:
  explicit Master(Server& server) {
    auto [own, theirs] = socket_pair();
    server.serve(std::move(theirs));
    channel_ = std::make_unique<Channel>(std::move(*Channel::adopt(std::move(own))));
    reader_ = std::make_unique<FrameReader>(*channel_, Expecting{Role::worker, false});
  }

  Result<Welcome> greet_as(Hello hello, const Identity& own = identity()) {
    return greet(*channel_, *reader_, own, std::move(hello), Clock::now() + kGreetingTime);
  }
  Result<Welcome> greet_as_master(const Identity& own = identity()) {
    Hello hello;
    hello.role = Role::master;
    return greet_as(hello, own);
  }
  template <typename M>
  void say(const M& message) {
    say_bytes(frame_of(message));
  }
  void say_bytes(std::string_view bytes) { (void)channel_->write_all(bytes, Milliseconds(10000)); }

  /// The next frame; an ERROR as an error.
  Result<Frame> hear() {
    const SteadyTime deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    auto frame = reader_->next(&deadline);
    if (!frame || frame->type != Type::error) return frame;
    return told_error(frame->payload);
  }
  template <typename M>
  Result<M> hear_message() {
    auto frame = hear();
    if (!frame) return frame.error();
    frames_.push_back(std::move(*frame));
    return read_message<M>(frames_.back().payload);
  }
  /// GET and its DATA.
  Result<std::string> fetch(const Region& region) {
    say(Get{77, region});
    std::string all;
    do {
      const auto data = hear_message<Data>();
      if (!data) return data.error();
      if (data->request != 77 || data->offset != all.size()) return Error{Code::bug, "another answer", ""};
      all.append(data->data);
    } while (all.size() < region.size);
    return all;
  }
  /// Waits for the ERROR that ends the connection.
  Error last_words() {
    while (true) {
      const auto frame = hear();
      if (!frame) return frame.error();
    }
  }
  void hang_up() { channel_->shut_down(); }

 private:
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<FrameReader> reader_;
  std::vector<Frame> frames_;
};

/// A graph of ggml's in one buffer, with random values in its leaves.
class LocalGraph {
 public:
  using Build = std::function<ggml_tensor*(ggml_context*)>;

  explicit LocalGraph(const Build& build, unsigned seed = 1) {
    const ggml_init_params parameters{std::size_t{1} << 20U, nullptr, true};
    context_.reset(ggml_init(parameters));
    result_ = build(context_.get());
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, result_);
    backend_.reset(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    ggml_backend_cpu_set_n_threads(backend_.get(), 1);
    buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend_.get()));
    ggml_backend_buffer_clear(buffer_.get(), 0);
    fill(seed);
    image_.assign(base(), ggml_backend_buffer_get_size(buffer_.get()));
  }

  /// What the buffer holds before the graph ran.
  const std::string& image() const { return image_; }
  Region all() const { return {kBuffer, 0, image_.size()}; }
  Region region_of(const ggml_tensor* tensor) const {
    return {kBuffer, offset_of(tensor), ggml_nbytes(tensor)};
  }
  Region result() const { return region_of(result_); }
  ggml_tensor* leaf(const char* name) const { return ggml_get_tensor(context_.get(), name); }

  /// Its result, computed here.
  std::string computed() const {
    if (ggml_backend_graph_compute(backend_.get(), graph_) != GGML_STATUS_SUCCESS) std::abort();
    std::string bytes(ggml_nbytes(result_), '\0');
    ggml_backend_tensor_get(result_, bytes.data(), 0, bytes.size());
    return bytes;
  }

  /// As a master describes it.
  Graph described(std::uint64_t id = 1) const {
    std::map<const ggml_tensor*, std::uint32_t> index;
    std::vector<const ggml_tensor*> tensors;
    const auto add = [&](const ggml_tensor* tensor) {
      if (index.emplace(tensor, static_cast<std::uint32_t>(tensors.size())).second) tensors.push_back(tensor);
    };
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) add(ggml_graph_node(graph_, i));
    Graph graph;
    graph.id = id;
    graph.node_count = static_cast<std::uint32_t>(tensors.size());
    for (std::size_t i = 0; i < graph.node_count; ++i) {
      for (const ggml_tensor* source : tensors[i]->src) {
        if (source != nullptr) add(source);
      }
    }
    graph.tensors.resize(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i)
      describe(*tensors[i], i < graph.node_count, index, graph.tensors[i]);
    for (std::uint32_t i = 0; i < graph.node_count; ++i)
      graph.tensors[i].uses =
          static_cast<std::uint32_t>(ggml_node_get_use_count(graph_, static_cast<int>(i)));
    return graph;
  }

  static constexpr std::uint32_t kBuffer = 5;

 private:
  struct Deleter {
    void operator()(ggml_context* context) const { ggml_free(context); }
    void operator()(ggml_backend* backend) const { ggml_backend_free(backend); }
  };

  const char* base() const { return static_cast<const char*>(ggml_backend_buffer_get_base(buffer_.get())); }
  std::uint64_t offset_of(const ggml_tensor* tensor) const {
    return static_cast<std::uint64_t>(static_cast<const char*>(tensor->data) - base());
  }

  /// Floats from -1 to 1; whole numbers from 0 to 3, or rising ones in tensors called "rising"; other types
  /// from floats.
  void fill(unsigned seed) {
    std::mt19937 random(seed);
    for (ggml_tensor* t = ggml_get_first_tensor(context_.get()); t != nullptr;
         t = ggml_get_next_tensor(context_.get(), t)) {
      if (t->op != GGML_OP_NONE || t->view_src != nullptr) continue;
      const auto count = static_cast<std::size_t>(ggml_nelements(t));
      std::vector<float> values(count);
      for (float& value : values) value = static_cast<float>(random() % 2001) / 1000.0F - 1.0F;
      std::vector<std::int32_t> numbers(count);
      const bool rising = std::strncmp(t->name, "rising", 6) == 0;
      for (std::size_t i = 0; i < count; ++i)
        numbers[i] = static_cast<std::int32_t>(rising ? i : random() % 4);
      const std::vector<std::int64_t> wide(numbers.begin(), numbers.end());
      std::vector<char> packed(ggml_nbytes(t));
      const void* data = packed.data();
      if (t->type == GGML_TYPE_F32) {
        data = values.data();
      } else if (t->type == GGML_TYPE_I32) {
        data = numbers.data();
      } else if (t->type == GGML_TYPE_I64) {
        data = wide.data();
      } else {
        ggml_get_type_traits(t->type)->from_float_ref(values.data(), packed.data(),
                                                      static_cast<std::int64_t>(count));
      }
      ggml_backend_tensor_set(t, data, 0, ggml_nbytes(t));
    }
  }

  void describe(const ggml_tensor& from, bool node, const std::map<const ggml_tensor*, std::uint32_t>& index,
                GraphTensor& to) const {
    to.type = static_cast<std::uint16_t>(from.type);
    to.flags = static_cast<std::uint32_t>(from.flags);
    to.buffer = kBuffer;
    to.offset = offset_of(&from);
    std::copy_n(from.ne, kDims, to.ne.begin());
    std::copy_n(from.nb, kDims, to.nb.begin());
    if (from.view_src != nullptr) {
      const auto viewed = index.find(from.view_src);
      to.view_source = viewed != index.end() ? viewed->second : kViewOfOther;
      to.view_offset = from.view_offs;
    }
    if (!node) return;
    to.op = static_cast<std::uint16_t>(from.op);
    std::copy_n(from.op_params, kMaxParameters, to.parameters.begin());
    for (std::size_t i = 0; i < to.sources.size(); ++i) {
      if (from.src[i] != nullptr) to.sources.at(i) = index.at(from.src[i]);
    }
  }

  std::unique_ptr<ggml_context, Deleter> context_;
  std::unique_ptr<ggml_backend, Deleter> backend_;
  BufferHandle buffer_;
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor* result_ = nullptr;
  std::string image_;
};

inline ggml_tensor* leaf(ggml_context* context, const char* name, ggml_type type, std::int64_t n0,
                         std::int64_t n1 = 1, std::int64_t n2 = 1) {
  ggml_tensor* tensor = ggml_new_tensor_3d(context, type, n0, n1, n2);
  ggml_set_name(tensor, name);
  return tensor;
}

/// The commands that bring `graph` to a worker, without OPEN.
inline std::string commands_of(const LocalGraph& graph) {
  std::string frames = frame_of(Alloc{LocalGraph::kBuffer, graph.image().size()});
  const std::string_view image = graph.image();
  for (std::size_t done = 0; done < image.size(); done += kMaxChunk)
    append_message(frames, Set{LocalGraph::kBuffer, done, image.substr(done, kMaxChunk)});
  append_graph(frames, graph.described());
  return frames;
}

/// What a new worker has as `graph`'s result after it has got that graph and run `variant`, another
/// description of it.
inline Result<std::string> result_of_variant(const LocalGraph& graph, const Graph& variant) {
  Worker worker;
  Master master(worker.server);
  const auto welcome = master.greet_as_master();
  if (!welcome) return welcome.error();
  master.say(Open{0, 0, 1, 1});
  master.say_bytes(commands_of(graph));
  std::string frame;
  append_graph(frame, variant);
  master.say_bytes(frame);
  master.say(fabric::Run{variant.id});
  return master.fetch(graph.result());
}

}  // namespace caravan::fabric::worker::testing
