// This device among the others of its cluster: finds them, keeps a session with each, keeps the membership
// the same everywhere, cuts off who was removed, and carries messages and tunnels.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "app/roster.h"
#include "base/json.h"
#include "cluster/condition.h"
#include "link/link.h"
#include "link/neighbours.h"

namespace caravan::app {

struct MeshOptions {
  fs::path folder;  ///< of addresses.json
  std::string engine_build;
  std::string link_address = "0.0.0.0";
  int link_port = link::kLinkPort;       ///< 0: chosen by the system
  bool discover = true;                  ///< by beacons
  std::vector<link::LinkAddress> peers;  ///< given by a person
};

/// Called on the loop.
struct MeshEvents {
  std::function<void(const std::string& device)> linked;
  /// There is no session any more.
  std::function<void(const std::string& device, const Error& why)> lost;
  /// How a try to reach a member went.
  std::function<void(const link::DialReport&)> dialled;
  /// It was a member and is not now.
  std::function<void(const std::string& device)> removed;
  /// False for a name that nobody knows.
  std::function<bool(const std::string& device, const std::string& name, const Json& body)> received;
  /// The loopback port that a member's tunnel may lead to.
  std::function<Result<std::uint16_t>(const std::string& device, const std::string& target)> target;
  /// Somebody asks to pair; may be asked while pairing is open only.
  std::function<boost::asio::awaitable<void>(std::unique_ptr<link::MessageSocket>)> pairing;
  std::function<bool()> pairing_is_open;
  /// Membership, links, liveness or neighbours are different from before.
  std::function<void()> changed;
};

/// What is known of the way to one member.
struct PeerView {
  std::string device;
  bool linked = false;
  bool suspect = false;  ///< silent for some seconds
  bool dialled = false;  ///< by this device, while it is linked
  std::string address;   ///< while it is linked
  std::optional<link::RoundTrip> round_trip;
  std::optional<std::chrono::milliseconds> last_heard;  ///< ago; nothing: not since this node started
};

/// One loop of one thread; nothing blocks, but for small files.
class Mesh {
 public:
  /// `roster` has to outlive it. Errors as link::Link::open. Without discovery (the port of the beacons may
  /// be another program's) it goes on, and discovery_problem() says so.
  static Result<std::unique_ptr<Mesh>> open(boost::asio::any_io_executor executor, Roster& roster,
                                            MeshOptions options, MeshEvents events);
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  std::uint16_t port() const;
  const std::optional<Error>& discovery_problem() const;
  /// Addresses under which others on its networks can reach this device's link port.
  std::vector<link::LinkAddress> own_addresses() const;
  /// Devices that beacons have told of, members or not.
  std::vector<link::Neighbour> neighbours() const;

  std::vector<PeerView> peers() const;
  /// Where links to a member came up, by dialling from here; the one used last comes first.
  std::vector<link::LinkAddress> known_addresses(const std::string& device) const;
  /// A member tells where others may be reached: tried after what this device knows itself.
  void told_of(const std::string& teller, std::vector<cluster::Place> places);
  bool is_linked(const std::string& device) const;
  std::optional<link::RoundTrip> round_trip(const std::string& device) const;

  /// Code::unavailable without a session.
  Result<void> send(const std::string& device, std::string name, Json body);
  void broadcast(const std::string& name, const Json& body);
  Result<std::unique_ptr<link::Tunnel>> open_tunnel(const std::string& device, const std::string& target);

  /// Beacons tell of it from now on, or no more.
  void pairing_changed();
  /// After a change that was made here: tells everybody, cuts off who is no member any more.
  void membership_changed();

 private:
  struct Inner;
  explicit Mesh(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::app
