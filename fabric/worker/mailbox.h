// What peers have handed over and no RECEIVE has taken yet. Bounded; all functions from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include "fabric/net/channel.h"
#include "fabric/wire/messages.h"

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

  /// One chunk; a parcel's chunks come in order. Blocks while there is no room.
  Result<void> put(const ParcelName& name, const HandOff& chunk);
  /// The whole parcel, of the master that is there: Code::interrupted for any other. Blocks until it is
  /// there, at most until `deadline`.
  Result<Parcel> take(const ParcelName& name, SteadyTime deadline);

  std::uint64_t held() const;
  /// How many threads wait in put() and take() now.
  int waiting() const;

 private:
  struct Incoming {
    Parcel parcel;
    std::uint64_t total = 0;
    bool whole() const { return parcel.bytes.size() == total; }
  };
  std::uint64_t room() const { return limits_.bytes - held_; }
  Result<void> start(const ParcelName& name, const HandOff& chunk, std::unique_lock<std::mutex>& lock);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<ParcelName, Incoming> parcels_;
  std::optional<std::uint64_t> session_;
  std::uint64_t held_ = 0;  ///< bytes that parcels take, or will take when they are whole
  int waiting_ = 0;
  std::uint64_t closed_ = 0;  ///< how often close() was called
};

}  // namespace caravan::fabric::worker
