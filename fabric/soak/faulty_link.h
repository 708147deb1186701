// A way between two ends of the fabric on which something goes wrong at a chosen byte.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

#include "fabric/net/channel.h"

namespace caravan::fabric::soak {

enum class Kind : std::uint8_t {
  none,
  cut,     ///< both ends see an end
  freeze,  ///< nothing goes either way any more, and nobody sees an end
  flip,    ///< one bit is another one
  drop,    ///< `length` bytes are lost
  twice,   ///< `length` bytes come again
  stray,   ///< `length` bytes come that nobody sent
  delay,   ///< `length` milliseconds pass: no fault
};
const char* name_of(Kind kind);

struct Fault {
  Kind kind = Kind::none;
  bool there = true;       ///< on the way to the listening end, or back
  std::uint64_t at = 0;    ///< bytes in that direction before it, over all connections since it was armed
  std::size_t length = 1;  ///< at most kMostLength
};
constexpr std::size_t kMostLength = 64;

/// Takes connections and carries them on to `target`. All functions from any thread.
class FaultyLink {
 public:
  explicit FaultyLink(std::string target);
  FaultyLink(const FaultyLink&) = delete;
  FaultyLink& operator=(const FaultyLink&) = delete;
  ~FaultyLink();

  const std::string& address() const { return listener_.address(); }
  /// From now on; what was counted so far is forgotten.
  void arm(Fault fault);
  bool has_struck() const { return struck_; }
  /// Bytes since arm() in one direction.
  std::uint64_t carried(bool there) const;
  /// Ends all connections, as a node does with its tunnels, and waits for that.
  void end_all();

 private:
  struct Connection {
    std::unique_ptr<Channel> near;
    std::unique_ptr<Channel> far;
    std::thread to;
    std::thread back;
  };
  void accept_all();
  void carry(Channel& from, Channel& to, Connection& connection, bool there);
  bool strike(std::string& bytes, std::size_t at, Connection& connection);

  const std::string target_;
  Listener listener_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Fault fault_;                        // guarded by mutex_
  std::uint64_t carried_[2] = {0, 0};  // guarded by mutex_
  bool frozen_ = false;                // guarded by mutex_
  std::atomic<bool> struck_{false};
  std::atomic<bool> stopping_{false};
  std::list<Connection> connections_;  // guarded by mutex_
  std::thread accepting_;
};

}  // namespace caravan::fabric::soak
