// Lets new devices in: the invitation that is open on this device, the conversations with those who ask, and
// the person's answer to what both screens show.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "app/roster.h"
#include "base/json.h"
#include "link/message_socket.h"
#include "link/pairing_code.h"
#include "link/pairing_numeric.h"

namespace caravan::app {

/// One event loop, one thread.
class PairingDesk {
 public:
  /// `roster` has to outlive it.
  PairingDesk(boost::asio::any_io_executor executor, Roster& roster);
  ~PairingDesk();
  PairingDesk(const PairingDesk&) = delete;
  PairingDesk& operator=(const PairingDesk&) = delete;

  /// Called whenever view() or is_open() has changed.
  void on_change(std::function<void()> changed);

  /// Opens the window for numeric comparison; one that is open begins anew. Code::invalid when this device is
  /// no owner.
  Result<void> open_window();
  /// A code for ten minutes, in place of an earlier one. Code::invalid when this device is no owner.
  Result<std::string> make_code(std::vector<link::CodeAddress> addresses);
  /// Whatever is open is closed; a try that is under way fails.
  void close();
  bool is_open() const;

  /// One conversation, to its end. Never throws but for cancellation.
  boost::asio::awaitable<void> serve(std::unique_ptr<link::MessageSocket> socket);
  /// The person's answer to the digits. Code::invalid when none are shown, or others than these.
  Result<void> confirm(const std::string& digits, bool same);

  /// {"open", "seconds_left", "tries_left", "code": whether there is one, "digits", "peer", "joined": who was
  /// let in, "failed": why the last conversation came to nothing}
  Json view() const;

 private:
  struct Inner;
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::app
