// What peers have handed over and no RECEIVE has taken yet. Bounded; all functions from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fabric/net/channel.h"
#include "fabric/wire/messages.h"
#include "fabric/worker/inlet.h"

namespace caravan::fabric::worker {

/// Whose parcel it is, and which one.
struct ParcelName {
  std::uint64_t session = 0;
  std::uint32_t stage = 0;  ///< that sent it
  std::uint64_t tag = 0;
  auto operator<=>(const ParcelName&) const = default;
};

struct Parcel {
  Format format = Format::as_is;
  std::string bytes;
};

class Mailbox {
 public:
  struct Limits {
    std::uint64_t bytes = std::uint64_t{256} << 20U;
    std::size_t parcels = 4096;
  };

  explicit Mailbox(Limits limits) : limits_(limits) {}

  /// The master of `session` is there: parcels of others are thrown away, and refused from now on.
  void open(std::uint64_t session);
  /// That master is gone: everything goes, and whoever waits here gets Code::interrupted.
  void close();

  /// What comes from a stage comes through `inlet`, until detach(); it gives what it reads to put().
  void attach(std::uint64_t session, std::uint32_t stage, Inlet& inlet);
  void detach(const Inlet& inlet);

  /// One chunk; a parcel's chunks come in order. Blocks while there is no room.
  Result<void> put(const ParcelName& name, const HandOff& chunk);
  /// The whole parcel, of the master that is there: Code::interrupted for any other. Blocks until it is
  /// there, at most until `deadline`.
  /// Code::disconnected when it cannot come any more.
  Result<Parcel> take(const ParcelName& name, SteadyTime deadline);
  /// The same; reads by itself what comes from that stage, then and later, until leave_inlets() or take().
  /// Only one thread may do that, and nobody reads while it does something else: the other end must not send
  /// more than sockets hold.
  Result<Parcel> take_directly(const ParcelName& name, SteadyTime deadline);
  /// By the thread of take_directly(), before it does what may block for longer: all inlets are read by their
  /// own threads again.
  void leave_inlets();

  /// The connection over which this stage handed over has ended: nobody waits for more of it.
  void lose(std::uint64_t session, std::uint32_t stage);

  std::uint64_t held() const;
  /// How many threads wait in put() and take() now.
  int waiting() const;

 private:
  struct Incoming {
    Parcel parcel;
    std::uint64_t total = 0;
    bool whole() const { return parcel.bytes.size() == total; }
  };
  bool is_whole(const ParcelName& name) const;
  Inlet* take_over(const ParcelName& name);
  Result<Parcel> wait_for(const ParcelName& name, SteadyTime deadline, std::unique_lock<std::mutex>& lock);
  std::uint64_t room() const { return limits_.bytes - held_; }
  Result<void> start(const ParcelName& name, const HandOff& chunk, std::unique_lock<std::mutex>& lock);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<ParcelName, Incoming> parcels_;
  std::multimap<std::pair<std::uint64_t, std::uint32_t>, Inlet*> inlets_;  ///< by session and stage
  std::vector<Inlet*> taken_over_;                                         ///< of these, by take_directly()
  std::optional<std::uint64_t> session_;
  std::set<std::pair<std::uint64_t, std::uint32_t>>
      lost_;                ///< sessions and stages; at most as many as parcels
  std::uint64_t held_ = 0;  ///< bytes that parcels take, or will take when they are whole
  int waiting_ = 0;
  std::uint64_t closed_ = 0;  ///< how often close() was called
};

}  // namespace caravan::fabric::worker
