// The loop around the medium: reads packets from TUN devices, writes them when the medium says so, obeys the
// control socket. One thread; sleeps in epoll between packets and deadlines.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "lab/command.h"
#include "lab/medium.h"

namespace caravan::lab {

enum class Ended {
  stopped,   ///< the control socket said so
  orphaned,  ///< standard input was closed: whoever started the lab is gone
};

class Emulator {
 public:
  /// `tuns`: of station 0, 1...; `control`: a listening SOCK_SEQPACKET socket.
  Emulator(std::vector<Descriptor> tuns, Descriptor control, Medium medium);

  /// Until it is stopped. Errors: epoll or the timer cannot be had.
  Result<Ended> run();

 private:
  struct Counters {
    std::uint64_t delivered = 0;
    std::uint64_t delivered_bytes = 0;
    std::uint64_t lost = 0;
    std::uint64_t queue_full = 0;
    std::uint64_t vanished = 0;
    std::uint64_t unroutable = 0;
    std::uint64_t refused = 0;  ///< a namespace did not take its packet
    std::uint64_t turns = 0;    ///< of the loop
    std::chrono::nanoseconds late{0};
    std::chrono::nanoseconds latest{0};
    std::uint64_t very_late = 0;  ///< delivered more than a millisecond late
  };

  Result<void> set_up();
  Result<void> watch(int fd);
  void handle(int fd);
  void read_packets(std::size_t station);
  void take(std::size_t from, std::size_t bytes, TimePoint now);
  void deliver_due();
  void settle_outcome(const Outcome& outcome, TimePoint now);
  void arm_timer();
  void accept_control();
  void answer_control(int fd);
  std::string obey(std::string_view line);
  void carry_out(const SetState& command);
  void carry_out(const SetLink& command);
  void carry_out(const UseProfile& command);
  std::string stats() const;

  std::vector<Descriptor> tuns_;
  Descriptor control_;
  Descriptor epoll_;
  Descriptor timer_;
  std::vector<Descriptor> connections_;
  Medium medium_;
  std::vector<std::vector<std::byte>> contents_;  ///< of packet id
  std::vector<std::uint32_t> free_ids_;
  std::array<std::byte, 65536> buffer_{};
  Counters counters_;
  TimePoint began_;
  TimePoint woken_;
  bool stopped_ = false;
  bool orphaned_ = false;
};

}  // namespace caravan::lab
