// The worker as it is seen from outside: listens, greets, serves one master at a time, and takes what peers
// hand over.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fabric/net/greeting.h"
#include "fabric/worker/session.h"

namespace caravan::fabric::worker {

class Server {
 public:
  /// Says one line about what happens; from any of the server's threads, one at a time.
  using Log = std::function<void(const std::string& line)>;

  /// `weights` must outlive this.
  Server(Identity own, WorkerSettings settings, WeightSource& weights, Log log);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// What to do when a master is gone and the next one not yet served; in one of the server's threads, never
  /// twice at a time. Before serve().
  void after_each_master(std::function<void()> does);
  /// Serves what connects there, in threads of its own, until stop().
  void serve(Listener listener);
  /// Serves one connection, in a thread of its own.
  void serve(Descriptor connection);
  /// Ends everything and waits for it.
  void stop();

  /// True while a master is served.
  bool busy() const;

 private:
  /// A connection and its thread.
  struct Guest {
    std::thread thread;
    std::unique_ptr<Channel> channel;
    std::atomic<bool> over{false};
    bool peer = false;
  };

  void accept_all(Listener& listener);
  void attend(Guest& guest);
  void receive(Channel& channel, Guest& guest);
  void serve_master(Channel& channel, FrameReader& reader, const Accepted& accepted);
  void serve_peer(Channel& channel, FrameReader& reader, const Accepted& accepted, Guest& guest);
  /// Waits a little for a master whose end is being worked off; false when one is there.
  bool claim();
  void release();
  void end_peers();
  void sweep();
  void say(const std::string& line);

  const Identity own_;
  const WorkerSettings settings_;
  WeightSource& weights_;
  const Log log_;
  std::function<void()> after_master_;
  Mailbox mailbox_{Mailbox::Limits{}};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Guest> guests_;
  std::vector<std::thread> listeners_;
  Session* session_ = nullptr;  ///< of the master that is served
  bool claimed_ = false;
  std::atomic<bool> stopping_{false};
  std::mutex log_mutex_;
};

}  // namespace caravan::fabric::worker
