// A TCP (or Unix) stream with time-outs, by plain POSIX calls. One thread may read while another one writes;
// shut_down() may come from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"
#include "base/units.h"
#include "fabric/net/address.h"
#include "fabric/net/seal.h"

namespace caravan::fabric {

using SteadyTime = Clock::time_point;
using Milliseconds = std::chrono::milliseconds;

/// Milliseconds for poll() until `deadline`, not less than 0, rounded up; -1 without one.
int poll_time(const SteadyTime* deadline);

class Channel {
 public:
  /// `address` is what parse_address takes. Blocks until `deadline`. Nagle's algorithm is off.
  static Result<Channel> connect(const std::string& address, Addresses allowed, SteadyTime deadline);
  /// Takes over a connected socket.
  static Result<Channel> adopt(Descriptor socket);

  /// Some bytes, at least one; Code::disconnected at the end. Blocks until `deadline`, for ever without one.
  Result<std::size_t> read_some(char* into, std::size_t size, const SteadyTime* deadline);
  /// What the system takes at once: 0 when it takes nothing now. After start_sealing() what seal() has seen.
  Result<std::size_t> write_some(std::string_view bytes);
  /// All of `bytes`, whole frames; gives up when the other end takes nothing for `patience`.
  Result<void> write_all(std::string_view bytes, Milliseconds patience);
  /// From now on, both ways, frames are sealed (seal.h). Called when nobody else uses this.
  void start_sealing() { sealing_ = true; }
  bool sealing() const { return sealing_; }
  /// For write_some(): seals the frames in `bytes` from `from` on, in the order in which they are written.
  void seal(std::string& bytes, std::size_t from);
  /// The other end will see an end after what was written.
  void finish_writing();
  /// Ends both directions: whoever waits in a call above gets an error.
  void shut_down();
  /// For poll(); it does not block.
  int fd() const { return socket_.get(); }

 private:
  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}
  Result<void> write_sealed(std::string_view bytes, Milliseconds patience);
  Descriptor socket_;
  bool sealing_ = false;
  Seal sent_;
};

/// A listening socket.
class Listener {
 public:
  /// "127.0.0.1:0" lets the system choose the port.
  static Result<Listener> open(const std::string& address, Addresses allowed);

  int fd() const { return socket_.get(); }
  /// With the port that the system chose.
  const std::string& address() const { return address_; }
  /// The next connection; nothing when there is none (any more). Does not block.
  Result<Descriptor> accept();

 private:
  Listener(Descriptor socket, std::string address)
      : socket_(std::move(socket)), address_(std::move(address)) {}
  Descriptor socket_;
  std::string address_;
};

}  // namespace caravan::fabric
