#include "link/link.h"

#include <map>
#include <optional>
#include <set>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "link/dial.h"
#include "link/tunnel_desk.h"

namespace caravan::link {

using asio::ip::tcp;

namespace {

constexpr std::size_t kInstanceBytes = 8;

struct Address {
  std::string host;
  int port = 0;
};

Error link_closed() { return Error{Code::interrupted, "the link is closed", ""}; }

/// Connections that are no session's and no tunnel's yet, each with the device that a tunnel is dialled for.
using Beginnings = std::map<std::shared_ptr<TlsConnection>, std::string>;

/// One of them, as long as it is one.
class Beginning {
 public:
  Beginning(Beginnings& all, std::shared_ptr<TlsConnection> connection, std::string tunnel_of = "")
      : all_(all), connection_(std::move(connection)) {
    all_.emplace(connection_, std::move(tunnel_of));
  }
  ~Beginning() { all_.erase(connection_); }
  Beginning(const Beginning&) = delete;
  Beginning& operator=(const Beginning&) = delete;

 private:
  Beginnings& all_;
  std::shared_ptr<TlsConnection> connection_;
};

}  // namespace

struct Link::Inner : std::enable_shared_from_this<Link::Inner> {
  Inner(asio::any_io_executor loop, const Identity& own, LinkOptions chosen, LinkOwner above)
      : executor(loop), identity(own), options(std::move(chosen)), owner(std::move(above)) {}

  Result<void> open();
  Standing judge(const PublicKey& key) const;
  Hello hello() const;
  std::shared_ptr<Session> session(const std::string& device) const;
  SessionEvents events();

  static asio::awaitable<void> route(std::shared_ptr<Inner> self, Visitor visitor);
  asio::awaitable<void> welcome(Visitor visitor);
  asio::awaitable<void> pair(Visitor visitor);
  Result<std::shared_ptr<TlsConnection>> connection_for(KeyCheck check) const;
  static asio::awaitable<Result<std::shared_ptr<TlsConnection>>> dial_device(std::shared_ptr<Inner> self,
                                                                             std::string device);
  static asio::awaitable<Result<std::shared_ptr<Session>>> connect(std::shared_ptr<Inner> self,
                                                                   std::string host, int port,
                                                                   std::string device);
  asio::awaitable<Result<std::shared_ptr<Session>>> greet(DialReport& report);

  Result<std::shared_ptr<Session>> adopt(std::shared_ptr<Session> session, const PublicKey& key,
                                         std::optional<Address> where);
  bool replaces(const Session& next, const Session& current) const;
  void closed(Session& session, const Error& why);
  void end_tunnels(const std::string& device);
  void cut(const std::string& device, const Error& why);
  void close();

  asio::any_io_executor executor;
  const Identity& identity;
  LinkOptions options;
  LinkOwner owner;
  std::string instance = hex(bytes_of(random_bytes(kInstanceBytes)));
  std::unique_ptr<Listener> listener;
  std::shared_ptr<TunnelDesk> desk;
  std::map<std::string, std::shared_ptr<Session>> sessions;
  std::map<std::string, Address> dialled;  ///< where the sessions that this node dialled lead
  std::set<std::string> dialling;          ///< devices
  Beginnings beginnings;
  bool closing = false;
};

Result<void> Link::Inner::open() {
  const auto weak = weak_from_this();
  TunnelSurroundings around;
  around.session = [weak](const std::string& device) {
    const auto self = weak.lock();
    return self ? self->session(device) : nullptr;
  };
  around.target = [weak](const std::string& device, const std::string& target) -> Result<std::uint16_t> {
    const auto self = weak.lock();
    if (!self || self->closing) return link_closed();
    return self->owner.target(device, target);
  };
  around.dial = [weak](std::string device) { return dial_device(weak.lock(), std::move(device)); };
  desk = std::make_shared<TunnelDesk>(executor, std::move(around), options.tunnels_per_device);
  auto opened = Listener::open(
      executor, identity, options.address, options.port, options.limits,
      [weak](const PublicKey& key) {
        const auto self = weak.lock();
        return self ? self->judge(key) : Standing::refused;
      },
      [weak](Visitor visitor) { return route(weak.lock(), std::move(visitor)); });
  if (!opened) return opened.error();
  listener = std::move(*opened);
  return {};
}

Standing Link::Inner::judge(const PublicKey& key) const {
  if (closing) return Standing::refused;
  const Standing standing = owner.judge(key);
  return standing == Standing::stranger && !owner.pairing ? Standing::refused : standing;
}

Hello Link::Inner::hello() const {
  Hello mine = owner.hello();
  mine.protocol = kLinkVersion;
  mine.device = identity.id();
  mine.instance = instance;
  return mine;
}

std::shared_ptr<Session> Link::Inner::session(const std::string& device) const {
  const auto found = sessions.find(device);
  return found == sessions.end() ? nullptr : found->second;
}

SessionEvents Link::Inner::events() {
  const auto weak = weak_from_this();
  SessionEvents events;
  events.payload = [weak](Session& session, const Payload& payload) {
    const auto self = weak.lock();
    return self && !self->closing && self->owner.received(session, payload);
  };
  events.dial_back = [weak](Session& session, const DialBack& asked) {
    const auto self = weak.lock();
    if (self && !self->closing) self->desk->dial_back(session.peer(), asked);
  };
  events.problem = [weak](Session& session, const Problem& problem) {
    const auto self = weak.lock();
    if (self) self->desk->problem(session.peer(), problem);
    spdlog::debug("link: {} about '{}': {}", shown(session.hello().name), shown(problem.about),
                  shown(problem.error.message));
  };
  events.liveness = [weak](Session& session, Liveness now) {
    const auto self = weak.lock();
    if (self && !self->closing) self->owner.liveness(session, now);
  };
  events.closed = [weak](Session& session, const Error& why) {
    if (const auto self = weak.lock()) self->closed(session, why);
  };
  return events;
}

asio::awaitable<void> Link::Inner::route(std::shared_ptr<Inner> self, Visitor visitor) {
  if (!self || self->closing) co_return;
  if (visitor.request.path == kLinkPath) {
    co_await self->welcome(std::move(visitor));
  } else if (visitor.request.path == kTunnelPath) {
    co_await self->desk->serve(std::move(visitor));
  } else if (visitor.request.path == kPairPath && self->owner.pairing) {
    co_await self->pair(std::move(visitor));
  } else {
    const Error nothing{Code::not_found, "there is nothing here", ""};
    visitor.connection->arm(Clock::now() + self->options.limits.request_time);
    co_await refuse_upgrade(*visitor.connection, 404, nothing);
  }
}

asio::awaitable<void> Link::Inner::welcome(Visitor visitor) {
  const Beginning beginning(beginnings, visitor.connection);
  const PublicKey key = visitor.connection->peer_key();
  visitor.connection->arm(Clock::now() + options.limits.request_time);
  auto socket = co_await MessageSocket::accept(visitor.connection, visitor.request, kMaxMessageBytes);
  if (!socket || closing) co_return;
  Hello mine = hello();
  auto session = co_await Session::welcome(std::move(*socket), std::move(mine));
  if (session) {
    (void)adopt(std::move(*session), key, std::nullopt);
  } else {
    spdlog::info("link: {}", session.error().message);
  }
}

asio::awaitable<void> Link::Inner::pair(Visitor visitor) {
  const Beginning beginning(beginnings, visitor.connection);
  visitor.connection->arm(Clock::now() + options.limits.stranger_time);
  auto socket = co_await MessageSocket::accept(visitor.connection, visitor.request, kPairingMessageBytes);
  if (socket && !closing) co_await owner.pairing(std::move(*socket));
}

Result<std::shared_ptr<TlsConnection>> Link::Inner::connection_for(KeyCheck check) const {
  auto context = TlsContext::make(identity, TlsContext::Side::dial, std::move(check));
  if (!context) return context.error();
  return std::make_shared<TlsConnection>(tcp::socket(executor), std::move(*context));
}

asio::awaitable<Result<std::shared_ptr<TlsConnection>>> Link::Inner::dial_device(std::shared_ptr<Inner> self,
                                                                                 std::string device) {
  if (!self || self->closing) co_return link_closed();
  const auto found = self->dialled.find(device);
  if (found == self->dialled.end()) {
    co_return Error{Code::unavailable, "it is not this device that dials", ""};
  }
  const Address where = found->second;
  KeyCheck check = [self, device](const PublicKey& key) {
    return device_id(key) == device && self->judge(key) == Standing::member;
  };
  auto connection = self->connection_for(std::move(check));
  if (!connection) co_return connection.error();
  const Beginning beginning(self->beginnings, *connection, device);
  const auto proved = co_await dial(*connection, where.host, where.port, self->options.dial_time);
  if (!proved) co_return proved.error();
  co_return connection;
}

asio::awaitable<Result<std::shared_ptr<Session>>> Link::Inner::connect(std::shared_ptr<Inner> self,
                                                                       std::string host, int port,
                                                                       std::string device) {
  if (self->closing) co_return link_closed();
  if (const auto known = self->session(device)) co_return known;
  const std::string being_dialled = device.empty() ? fmt::format("{}:{}", host, port) : device;
  if (!self->dialling.insert(being_dialled).second) {
    co_return Error{Code::unavailable, "that device is being dialled already", ""};
  }
  DialReport report{std::move(device), std::move(host), port, DialOutcome::connected, std::nullopt};
  auto session = co_await self->greet(report);
  self->dialling.erase(being_dialled);
  if (!session) report.error = session.error();
  if (self->owner.dialled && !self->closing) self->owner.dialled(report);
  co_return session;
}

/// Writes into `report` how far it came.
asio::awaitable<Result<std::shared_ptr<Session>>> Link::Inner::greet(DialReport& report) {
  const auto self = shared_from_this();
  KeyCheck check = [self, device = report.device](const PublicKey& key) {
    return (device.empty() || device_id(key) == device) && self->judge(key) == Standing::member;
  };
  const auto connection = connection_for(std::move(check));
  if (!connection) co_return connection.error();
  const Beginning beginning(beginnings, *connection);
  const auto proved = co_await dial(*connection, report.host, report.port, options.dial_time);
  if (closing) co_return link_closed();
  const auto& failure = (*connection)->connect_failure();
  report.outcome = failure ? outcome_of(failure) : DialOutcome::turned_away;
  if (!proved) co_return proved.error();
  const PublicKey key = (*connection)->peer_key();
  auto socket = co_await MessageSocket::dial(*connection, std::string(kLinkPath), kMaxMessageBytes);
  if (closing) co_return link_closed();
  if (!socket) co_return socket.error();
  Hello mine = hello();
  auto session = co_await Session::greet(std::move(*socket), std::move(mine));
  if (!session) co_return session.error();
  report.outcome = DialOutcome::connected;
  const Address where{report.host, report.port};
  co_return adopt(std::move(*session), key, where);
}

/// The membership may have changed while the hellos were under way.
Result<std::shared_ptr<Session>> Link::Inner::adopt(std::shared_ptr<Session> session, const PublicKey& key,
                                                    std::optional<Address> where) {
  const std::string device = session->peer();
  if (closing || judge(key) != Standing::member) {
    session->close(link_closed());
    return Error{Code::invalid, fmt::format("{} is no member", shown(session->hello().name)), ""};
  }
  const auto current = this->session(device);
  if (current && !replaces(*session, *current)) {
    session->close(Error{Code::disconnected, "another connection of the same two devices stays", ""});
    return current;
  }
  const bool restarted = current && current->hello().instance != session->hello().instance;
  if (restarted) current->close(Error{Code::disconnected, "it was restarted", ""});
  sessions[device] = session;
  if (where) {
    dialled[device] = *where;
  } else {
    dialled.erase(device);
  }
  if (current) current->close(Error{Code::disconnected, "a newer connection takes its place", ""});
  session->start(events(), options.heartbeat);
  owner.opened(*session);
  return session;
}

/// Both sides come to the same answer. Between two connections of the same two runs, dialled from both sides
/// at once, that of the smaller id stays.
bool Link::Inner::replaces(const Session& next, const Session& current) const {
  if (next.hello().instance != current.hello().instance) return true;
  if (next.dialled() == current.dialled()) return true;
  const bool mine_is_smaller = identity.id() < next.peer();
  return next.dialled() == mine_is_smaller;
}

void Link::Inner::closed(Session& session, const Error& why) {
  const auto found = sessions.find(session.peer());
  if (found == sessions.end() || found->second.get() != &session) return;
  const std::string device = session.peer();
  const auto held = found->second;
  sessions.erase(found);
  dialled.erase(device);
  end_tunnels(device);
  if (!closing) owner.lost(device, why);
}

/// Those that are open, and those that are still being dialled.
void Link::Inner::end_tunnels(const std::string& device) {
  desk->cut(device);
  for (const auto& [connection, tunnel_of] : beginnings) {
    if (tunnel_of == device) connection->close();
  }
}

void Link::Inner::cut(const std::string& device, const Error& why) {
  if (const auto session = this->session(device)) session->close(why);
  end_tunnels(device);
}

void Link::Inner::close() {
  closing = true;
  listener.reset();
  while (!sessions.empty()) {
    const auto session = sessions.begin()->second;
    session->close(link_closed());
  }
  for (const auto& [connection, tunnel_of] : beginnings) connection->close();
  desk->cut_all();
}

Result<std::unique_ptr<Link>> Link::open(asio::any_io_executor executor, const Identity& identity,
                                         LinkOptions options, LinkOwner owner) {
  auto inner = std::make_shared<Inner>(executor, identity, std::move(options), std::move(owner));
  if (auto opened = inner->open(); !opened) return opened.error();
  return std::unique_ptr<Link>(new Link(std::move(inner)));
}

Link::Link(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
Link::~Link() { inner_->close(); }

std::uint16_t Link::port() const { return inner_->listener->port(); }

/// No coroutine itself: the Link may be gone before its first step.
asio::awaitable<Result<std::shared_ptr<Session>>> Link::connect(std::string host, int port,
                                                                std::string device) {
  return Inner::connect(inner_, std::move(host), port, std::move(device));
}

std::shared_ptr<Session> Link::session(const std::string& device) const { return inner_->session(device); }

std::vector<std::shared_ptr<Session>> Link::sessions() const {
  std::vector<std::shared_ptr<Session>> all;
  all.reserve(inner_->sessions.size());
  for (const auto& [device, session] : inner_->sessions) all.push_back(session);
  return all;
}

Result<std::unique_ptr<Tunnel>> Link::open_tunnel(std::string device, std::string target) {
  return Tunnel::open(inner_->executor,
                      [desk = inner_->desk, device = std::move(device), target = std::move(target)]() {
                        return desk->open(device, target);
                      });
}

void Link::cut(const std::string& device, const Error& why) { inner_->cut(device, why); }

void Link::cut_strangers(const Error& why) {
  for (const auto& session : sessions()) {
    if (inner_->judge(session->key()) != Standing::member) inner_->cut(session->peer(), why);
  }
}

}  // namespace caravan::link
