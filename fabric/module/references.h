// Weights by reference: a worker is told what a tensor's content is called, and takes it from where it is.
// What it does not have is sent before it is needed, once all is known: to all workers at the same time.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "fabric/module/contents.h"
#include "fabric/module/streams.h"

namespace caravan::fabric {

/// All functions may be called from any thread.
class References {
 public:
  /// `streams` must outlive this.
  References(Streams& streams, Contents contents);

  /// Tells the worker which content goes to `region`, when `bytes` (all of the tensor) are one of the
  /// model's. False when they have to be sent. Does not wait.
  bool refer(std::size_t stage, const ggml_tensor& tensor, const Region& region, std::string_view bytes);
  /// The same for a share of one of the model's tensors: `bytes` are all that goes to the worker, gathered
  /// from `slice`. They are called by their own hash, which is computed here.
  bool refer(std::size_t stage, const ggml_tensor& tensor, const Region& region, std::string_view bytes,
             const Slice& slice);
  /// Where the pieces are in the model's file; nothing when they have to be sent.
  std::optional<Slice> slice_at(const char* data, const char* end, std::uint64_t piece,
                                std::uint64_t stride) const {
    return contents_.slice_at(data, end, piece, stride);
  }
  /// Nothing is needed any more of what goes to this buffer.
  void forget_buffer(std::size_t stage, std::uint32_t buffer);
  /// As complete(), if something may be missing in this buffer.
  bool complete_buffer(std::size_t stage, std::uint32_t buffer);
  /// Sends what the workers do not have. Blocks until it is written; at once when all is there. False when
  /// the plan has failed.
  bool complete();

 private:
  struct Said {
    std::uint32_t buffer = 0;
    Content content;
    std::uint32_t type = 0;      ///< ggml_type
    std::optional<Slice> slice;  ///< where it is, when it is no whole tensor
    bool is_needed = true;
  };
  struct Stage {
    std::vector<Said> said;     ///< WEIGHTs by number
    std::uint64_t unasked = 0;  ///< bytes of those since the last WEIGHTS_END
    std::uint32_t last_request = 0;
  };
  struct Sending {
    std::size_t stage;
    std::uint32_t number;
    std::uint64_t offset;
  };
  bool say(std::size_t stage, const Region& region, const Said& said);
  void ask(std::size_t stage);
  bool collect(std::vector<std::vector<Sending>>& missing);
  bool send_chunk(Sending& next);

  Streams& streams_;
  const Contents contents_;
  std::atomic<bool> open_{false};  ///< something was said that may be missing
  std::mutex mutex_;
  std::vector<Stage> stages_;  ///< guarded by mutex_
};

}  // namespace caravan::fabric
