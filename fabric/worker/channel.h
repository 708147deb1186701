// A TCP (or Unix) stream with time-outs, by plain POSIX calls, and the frames on it. One thread may read
// while another one writes; shut_down() may come from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "fabric/wire/frame.h"

namespace caravan::fabric::worker {

using SteadyTime = std::chrono::steady_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

/// Which addresses may be used: ends of tunnels are loopback ones.
enum class Addresses { loopback, any };

class Channel {
 public:
  /// `address` is "127.0.0.1:4012" or "[::1]:4012". Blocks until `deadline`.
  static Result<Channel> connect(const std::string& address, Addresses allowed, SteadyTime deadline);
  /// Takes over a connected socket.
  static Result<Channel> adopt(Descriptor socket);

  /// Some bytes, at least one; Code::disconnected at the end. Blocks until `deadline`, for ever without one.
  Result<std::size_t> read_some(char* into, std::size_t size, const SteadyTime* deadline);
  /// All of `bytes`; gives up when the other end takes nothing for `patience`.
  Result<void> write_all(std::string_view bytes, Milliseconds patience);
  /// The other end will see an end after what was written.
  void finish_writing();
  /// Ends both directions: whoever waits in a call above gets an error.
  void shut_down();

 private:
  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}
  Descriptor socket_;
};

struct Frame {
  Type type = Type::error;
  std::string payload;
};

/// Reads frames off a channel, some at a time.
class FrameReader {
 public:
  FrameReader(Channel& channel, Expecting expecting);
  /// What the other end may say from now on.
  void expect(Expecting expecting) { expecting_ = expecting; }
  /// The next frame; the deadline holds for all of it.
  Result<Frame> next(const SteadyTime* deadline);

 private:
  Result<void> fill(std::size_t least, const SteadyTime* deadline);

  Channel& channel_;
  Expecting expecting_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

/// A listening socket.
class Listener {
 public:
  /// "127.0.0.1:0" lets the system choose the port.
  static Result<Listener> open(const std::string& address, Addresses allowed);

  int fd() const { return socket_.get(); }
  /// With the port that the system chose.
  const std::string& address() const { return address_; }
  /// The next connection; nothing when there is none (any more).
  Result<Descriptor> accept();

 private:
  Listener(Descriptor socket, std::string address)
      : socket_(std::move(socket)), address_(std::move(address)) {}
  Descriptor socket_;
  std::string address_;
};

}  // namespace caravan::fabric::worker
