// How a device gets into a cluster: the joining side of both ways of pairing, on a device whose node does not
// run. docs/protocol.md has the messages.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/files.h"
#include "base/result.h"
#include "link/identity.h"
#include "link/membership.h"
#include "link/neighbours.h"
#include "link/pairing_code.h"

namespace caravan::app {

struct JoinOptions {
  fs::path folder;   ///< where key and membership are kept
  std::string name;  ///< of this device, as others will see it
};

/// A device that lets others in at this moment.
struct OpenDoor {
  std::string device;  ///< its id, "" when it is not known yet
  std::string name;
  std::vector<link::LinkAddress> addresses;
};

struct Joined {
  std::string cluster;  ///< its name
  std::size_t devices = 0;
};

/// Whether this device may join another cluster: it must not be in one with others. Code::invalid says which
/// one it is in, and the cure.
Result<void> check_free_to_join(const fs::path& folder);

/// Listens and asks on all networks until somebody is heard who has pairing open, at most `patience`, and
/// then for a moment more: there may be several. Code::not_found when there is none; Code::unavailable when
/// this device cannot listen.
boost::asio::awaitable<Result<std::vector<OpenDoor>>> find_open_doors(std::string self,
                                                                      std::chrono::milliseconds patience);

/// By comparing digits: `show` gets them, for the person, with the name of the other device. Its address that
/// answers first is taken. On success key and membership are on the disk.
boost::asio::awaitable<Result<Joined>> join_by_digits(
    JoinOptions options, OpenDoor door,
    std::function<void(const std::string& digits, const std::string& peer)> show);

/// By a code, at the addresses in it and then `more`.
boost::asio::awaitable<Result<Joined>> join_by_code(JoinOptions options, link::InvitationCode code,
                                                    std::vector<link::LinkAddress> more);

}  // namespace caravan::app
