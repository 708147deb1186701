// This worker's ways to the workers that it hands results to.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "fabric/net/greeting.h"
#include "fabric/wire/messages.h"

namespace caravan::fabric::worker {

/// One thread uses it; cancel() may come from any.
class Peers {
 public:
  Peers(std::string engine, Addresses allowed) : engine_(std::move(engine)), allowed_(allowed) {}

  /// Where a stage is; a connection that there is to it ends.
  void set(const Peer& peer);
  /// Says who this worker is: to peers, from now on.
  void introduce(std::uint32_t own_stage, std::uint64_t session);
  /// The way to a stage; connects the first time, for at most 10 s.
  Result<Channel*> to(std::uint32_t stage);
  /// Bytes that went over all ways. From any thread.
  std::uint64_t written() const { return written_; }
  /// Ends all connections and makes no more: whoever writes gets an error.
  void cancel();
  static Error gone();
  /// Blocks until cancel(), at most so long; false then.
  bool wait_for_cancel(Milliseconds most);

 private:
  struct Way {
    Peer peer;
    std::unique_ptr<Channel> channel;
    bool greeted = false;
  };
  Result<void> connect(Way& way);

  const std::string engine_;
  const Addresses allowed_;
  Hello hello_;
  std::condition_variable cancelling_;
  std::mutex mutex_;  ///< for cancel(): guards `cancelled_`, the map's shape and the channels' pointers
  bool cancelled_ = false;
  std::map<std::uint32_t, Way> ways_;
  std::atomic<std::uint64_t> written_{0};
};

/// `bytes` as HAND_OFF frames to `channel`.
Result<void> hand_off(Channel& channel, std::uint64_t tag, Format format, std::string_view bytes,
                      Milliseconds patience);

/// f32 values as they travel in `format`; the size must fit (pack_fits).
std::string pack(Format format, std::string_view values);
/// True when a region of `size` bytes can travel in `format`.
bool pack_fits(Format format, std::uint64_t size);
/// The reverse of pack; an error when it does not make `size` bytes.
Result<std::string> unpack(Format format, std::string bytes, std::uint64_t size);

}  // namespace caravan::fabric::worker
