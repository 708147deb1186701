// A node's links: its port, one session with each device, the tunnels between them; and that all of a device
// ends at once when it is lost or removed. What stands above the link uses this.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "link/dial.h"
#include "link/dial_outcome.h"
#include "link/heartbeat.h"
#include "link/listener.h"
#include "link/message_socket.h"
#include "link/session.h"
#include "link/tunnel.h"

namespace caravan::link {

struct LinkOptions {
  std::string address = "0.0.0.0";
  int port = kLinkPort;  ///< 0: the system chooses
  ListenerLimits limits;
  HeartbeatTimes heartbeat;
  std::size_t tunnels_per_device = 16;  ///< connections at once
  std::chrono::milliseconds dial_time = kDialTime;
};

/// What the link asks of what stands above it, and tells it. Called on the loop, and not after the Link is
/// gone, except that a pairing coroutine may still be ending then; none of them may destroy the Link. All but
/// `pairing` and `dialled` have to be set.
struct LinkOwner {
  Judge judge;
  /// This node's, as of now. Its device id is overwritten with the identity's.
  std::function<Hello()> hello;
  /// The loopback port that this member may be connected to for a tunnel, or why not.
  std::function<Result<std::uint16_t>(const std::string& device, const std::string& target)> target;
  std::function<void(Session&)> opened;
  std::function<void(Session&, Liveness)> liveness;
  /// The device has no session any more; its tunnels are closed already.
  std::function<void(const std::string& device, const Error& why)> lost;
  /// How each connect() went.
  std::function<void(const DialReport&)> dialled;
  /// False for a name that nobody knows.
  std::function<bool(Session&, const Payload&)> received;
  /// Somebody, stranger or member, asks for pairing; the key is the socket's connection().peer_key().
  /// Messages of 64 KiB until it allows more, limits.stranger_time in all. Without it no stranger gets
  /// through the handshake.
  std::function<asio::awaitable<void>(std::unique_ptr<MessageSocket>)> pairing;
};

/// One loop of one thread; nothing blocks. Destroying it closes everything.
class Link {
 public:
  /// `identity` is borrowed and has to outlive this. Errors as Listener::open.
  static Result<std::unique_ptr<Link>> open(asio::any_io_executor executor, const Identity& identity,
                                            LinkOptions options, LinkOwner owner);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  std::uint16_t port() const;

  /// A session with `device` (any member, when that is empty) at host:port. There is one session for each
  /// device: when both sides dial at once, that of the smaller id stays, on both sides, and is the value.
  /// Code::unavailable when nobody answers, Code::invalid when it is another device or one side is no member
  /// for the other, Code::incompatible when the hellos do not fit.
  asio::awaitable<Result<std::shared_ptr<Session>>> connect(std::string host, int port, std::string device);

  std::shared_ptr<Session> session(const std::string& device) const;  ///< null without one
  std::vector<std::shared_ptr<Session>> sessions() const;             ///< by device id

  /// A loopback port whose connections lead to what `device` calls `target`. Whichever side dialled the
  /// session also dials these, so that a device that can only connect outwards has tunnels too. Connections
  /// made while there is no session are closed.
  Result<std::unique_ptr<Tunnel>> open_tunnel(std::string device, std::string target);

  /// Ends the session and all tunnels of a device at once. The judge decides whether it comes back.
  void cut(const std::string& device, const Error& why);
  /// As cut, for every device that the judge takes for a member no more: for when the membership has changed.
  void cut_strangers(const Error& why);

 private:
  struct Inner;
  explicit Link(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace caravan::link
