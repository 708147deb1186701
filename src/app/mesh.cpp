#include "app/mesh.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "app/whereabouts.h"
#include "link/dial_policy.h"
#include "link/discovery.h"

namespace caravan::app {

namespace asio = boost::asio;

namespace {

/// A removed device is told of it, and has this long to read that.
constexpr std::chrono::milliseconds kFarewell{500};
constexpr const char* kDocument = "membership";
constexpr const char* kSummary = "membership_summary";

link::ClusterTag tag_of(const std::string& cluster) {
  const link::Hash hash = link::sha256(cluster);
  link::ClusterTag tag{};
  std::copy_n(hash.begin(), tag.size(), tag.begin());
  return tag;
}

Json to_json(const link::MembershipSummary& summary) {
  return {{"cluster", summary.cluster}, {"version", summary.version}, {"digest", summary.digest}};
}

}  // namespace

struct Mesh::Inner : std::enable_shared_from_this<Mesh::Inner> {
  Inner(asio::any_io_executor loop, Roster& who, MeshOptions chosen, MeshEvents told)
      : executor(loop),
        roster(who),
        options(std::move(chosen)),
        events(std::move(told)),
        policy(who.self()),
        whereabouts(options.folder / "addresses.json"),
        dial_timer(loop, TimePoint::max()) {}

  Result<void> open();
  link::LinkOwner owner();
  link::Beacon beacon() const;
  link::Hello hello() const;
  void start_discovery();
  void opened(link::Session& session);
  void liveness(const link::Session& session, link::Liveness now);
  void lost(const std::string& device, const Error& why);
  bool received(link::Session& session, const link::Payload& payload);
  void take_document(const std::string& device, const Json& body);
  void membership_changed();
  void cut_off(const std::string& device);
  void refresh_addresses();
  static asio::awaitable<void> dial_forever(std::shared_ptr<Inner> self);
  static asio::awaitable<void> dial(std::shared_ptr<Inner> self, link::Dial target);
  void send(link::Session& session, const std::string& name, Json body);
  void broadcast(const std::string& name, const Json& body);

  asio::any_io_executor executor;
  Roster& roster;
  MeshOptions options;
  MeshEvents events;
  link::DialPolicy policy;
  Whereabouts whereabouts;
  asio::steady_timer dial_timer;
  std::set<std::string> members;  ///< as of the last membership_changed()
  std::map<std::string, TimePoint> last_seen;
  std::string instance = link::hex(link::bytes_of(link::random_bytes(8)));
  std::unique_ptr<link::Link> link;
  std::unique_ptr<link::Discovery> discovery;
  std::optional<Error> discovery_problem;
  bool closed = false;
};

Result<void> Mesh::Inner::open() {
  link::LinkOptions link_options;
  link_options.address = options.link_address;
  link_options.port = options.link_port;
  auto opened = link::Link::open(executor, roster.identity(), link_options, owner());
  if (!opened) return opened.error();
  link = std::move(*opened);
  start_discovery();
  for (const link::LinkAddress& address : options.peers) policy.add_by_hand(address, Clock::now());
  membership_changed();
  asio::co_spawn(executor, dial_forever(shared_from_this()), asio::detached);
  return {};
}

link::LinkOwner Mesh::Inner::owner() {
  link::LinkOwner owner;
  owner.judge = [this](const link::PublicKey& key) {
    if (roster.membership().is_member(key)) return link::Standing::member;
    return events.pairing_is_open() ? link::Standing::stranger : link::Standing::refused;
  };
  owner.hello = [this]() { return hello(); };
  owner.target = [this](const std::string& device, const std::string& target) {
    return events.target(device, target);
  };
  owner.opened = [this](link::Session& session) { opened(session); };
  owner.liveness = [this](link::Session& session, link::Liveness now) { liveness(session, now); };
  owner.lost = [this](const std::string& device, const Error& why) { lost(device, why); };
  owner.dialled = [this](const link::DialReport& report) { events.dialled(report); };
  owner.received = [this](link::Session& session, const link::Payload& payload) {
    return received(session, payload);
  };
  owner.pairing = [this](std::unique_ptr<link::MessageSocket> socket) {
    return events.pairing(std::move(socket));
  };
  return owner;
}

link::Hello Mesh::Inner::hello() const {
  link::Hello hello;
  hello.device = roster.self();
  hello.name = roster.name_of(roster.self());
  hello.instance = instance;
  hello.engine = options.engine_build;
  hello.capabilities = {"rpc"};
  hello.membership = roster.membership().version();
  return hello;
}

link::Beacon Mesh::Inner::beacon() const {
  link::Beacon beacon;
  beacon.device = roster.self();
  beacon.cluster = tag_of(roster.membership().cluster_id());
  beacon.link_port = link->port();
  beacon.pairing_open = events.pairing_is_open();
  beacon.name = roster.name_of(roster.self());
  return beacon;
}

void Mesh::Inner::start_discovery() {
  if (!options.discover) return;
  auto socket = link::BeaconSocket::open(executor, link::BeaconPlaces{});
  if (!socket) {
    discovery_problem = socket.error();
    return;
  }
  discovery = std::make_unique<link::Discovery>(std::move(*socket), executor, beacon(), [this]() {
    refresh_addresses();
    events.changed();
  });
  asio::co_spawn(
      executor, [self = shared_from_this()]() { return self->discovery->run(); }, asio::detached);
}

void Mesh::Inner::opened(link::Session& session) {
  const std::string device = session.peer();
  policy.linked(device);
  send(session, kSummary, to_json(roster.membership().summary()));
  events.linked(device);
  events.changed();
}

/// That it is lost, its end tells.
void Mesh::Inner::liveness(const link::Session& session, link::Liveness now) {
  const std::string name = roster.name_of(session.peer());
  if (now == link::Liveness::suspect)
    spdlog::warn("{} is silent: no word for {}", name, format_duration(session.silence()));
  if (now == link::Liveness::alive) spdlog::info("{} is heard again", name);
  events.changed();
}

void Mesh::Inner::lost(const std::string& device, const Error& why) {
  last_seen[device] = Clock::now();
  policy.lost(device, Clock::now());
  dial_timer.cancel();
  events.lost(device, why);
  events.changed();
}

bool Mesh::Inner::received(link::Session& session, const link::Payload& payload) {
  // Removed a moment ago, and not cut off yet: nothing that it says counts.
  if (!roster.membership().is_member(session.key())) return true;
  if (payload.name == kDocument) {
    take_document(session.peer(), payload.body);
    return true;
  }
  if (payload.name == kSummary) {
    if (payload.body == to_json(roster.membership().summary())) return true;
    // One of us lacks something; who it is shows when the documents are put together.
    if (auto document = parse_json(roster.membership().document(), link::kMaxDocumentBytes))
      send(session, kDocument, std::move(*document));
    return true;
  }
  return events.received(session.peer(), payload.name, payload.body);
}

void Mesh::Inner::take_document(const std::string& device, const Json& body) {
  const auto accepted = roster.accept(dump_json(body));
  if (!accepted) return;  // whatever it is, it is not our cluster's: nothing has changed
  const auto session = link->session(device);
  if (!accepted->they_lack || !session) return;
  if (auto document = parse_json(roster.membership().document(), link::kMaxDocumentBytes))
    send(*session, kDocument, std::move(*document));
}

void Mesh::Inner::membership_changed() {
  const std::set<std::string> now = roster.members();
  policy.set_members(now, Clock::now());
  if (discovery) {
    discovery->neighbours().set_members(now);
    discovery->announce(beacon());
  }
  whereabouts.keep_only(now);
  if (auto document = parse_json(roster.membership().document(), link::kMaxDocumentBytes))
    broadcast(kDocument, *document);
  const std::set<std::string> before = std::exchange(members, now);
  for (const std::string& device : before) {
    if (now.contains(device)) continue;
    events.removed(device);
    cut_off(device);
  }
  refresh_addresses();
  events.changed();
}

/// Its key is refused from now on; what is open with it ends once it has had the news.
void Mesh::Inner::cut_off(const std::string& device) {
  auto timer = std::make_shared<asio::steady_timer>(executor, kFarewell);
  timer->async_wait([weak = weak_from_this(), timer, device](const boost::system::error_code&) {
    const auto self = weak.lock();
    if (!self || self->closed || self->members.contains(device)) return;
    self->link->cut(device, Error{Code::invalid, "it was removed from the cluster", ""});
  });
}

void Mesh::Inner::refresh_addresses() {
  for (const std::string& device : members) {
    std::vector<link::LinkAddress> heard;
    const link::Neighbour* neighbour = discovery ? discovery->neighbours().find(device) : nullptr;
    if (neighbour != nullptr) {
      for (const link::HeardAddress& entry : neighbour->addresses) heard.push_back(entry.address);
    }
    policy.set_addresses(device, whereabouts.all(device, std::move(heard)), Clock::now());
  }
  dial_timer.cancel();
}

asio::awaitable<void> Mesh::Inner::dial_forever(std::shared_ptr<Inner> self) {
  while (!self->closed) {
    for (const link::Dial& target : self->policy.due(Clock::now()))
      asio::co_spawn(self->executor, dial(self, target), asio::detached);
    self->dial_timer.expires_at(self->policy.next_deadline().value_or(TimePoint::max()));
    co_await self->dial_timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

asio::awaitable<void> Mesh::Inner::dial(std::shared_ptr<Inner> self, link::Dial target) {
  auto session = co_await self->link->connect(target.address.host, target.address.port, target.device);
  if (self->closed) co_return;
  const std::string reached = session ? (*session)->peer() : "";
  self->policy.done(target, reached, Clock::now());
  if (session) {
    self->whereabouts.used(reached, target.address);
    if (self->discovery) self->discovery->neighbours().proved(reached, target.address, Clock::now());
  } else if (session.error().code == Code::invalid && self->discovery) {
    self->discovery->neighbours().failed(target.device, target.address);
  }
  self->dial_timer.cancel();
}

/// A session that takes no more is about to be lost: that tells the rest.
void Mesh::Inner::send(link::Session& session, const std::string& name, Json body) {
  (void)session.send(name, std::move(body));
}

void Mesh::Inner::broadcast(const std::string& name, const Json& body) {
  for (const auto& session : link->sessions()) send(*session, name, body);
}

Result<std::unique_ptr<Mesh>> Mesh::open(asio::any_io_executor executor, Roster& roster, MeshOptions options,
                                         MeshEvents events) {
  auto inner = std::make_shared<Inner>(executor, roster, std::move(options), std::move(events));
  if (auto opened = inner->open(); !opened) return opened.error();
  return std::unique_ptr<Mesh>(new Mesh(std::move(inner)));
}

Mesh::Mesh(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}

Mesh::~Mesh() {
  inner_->closed = true;
  inner_->dial_timer.cancel();
  if (inner_->discovery) inner_->discovery->stop();
  inner_->link.reset();
}

std::uint16_t Mesh::port() const { return inner_->link->port(); }

const std::optional<Error>& Mesh::discovery_problem() const { return inner_->discovery_problem; }

std::vector<link::LinkAddress> Mesh::own_addresses() const {
  std::vector<link::LinkAddress> addresses;
  const auto interfaces = link::interface_addresses();
  if (!interfaces) return addresses;
  for (const link::InterfaceAddress& entry : *interfaces) {
    const bool is_local =
        entry.is_loopback || (entry.address.is_v6() && entry.address.to_v6().is_link_local());
    if (!is_local) addresses.push_back({entry.address.to_string(), port()});
  }
  return addresses;
}

std::vector<link::Neighbour> Mesh::neighbours() const {
  return inner_->discovery ? inner_->discovery->neighbours().list() : std::vector<link::Neighbour>();
}

std::vector<PeerView> Mesh::peers() const {
  std::vector<PeerView> views;
  for (const std::string& device : inner_->members) {
    if (device == inner_->roster.self()) continue;
    PeerView view;
    view.device = device;
    const auto ago = [](Clock::duration time) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(time);
    };
    if (const auto session = inner_->link->session(device)) {
      view.linked = true;
      view.suspect = session->liveness() != link::Liveness::alive;
      view.dialled = session->dialled();
      view.address = session->address();
      view.round_trip = session->round_trip();
      view.last_heard = ago(session->silence());
    } else if (const auto seen = inner_->last_seen.find(device); seen != inner_->last_seen.end()) {
      view.last_heard = ago(Clock::now() - seen->second);
    }
    views.push_back(std::move(view));
  }
  return views;
}

std::vector<link::LinkAddress> Mesh::known_addresses(const std::string& device) const {
  return inner_->whereabouts.known(device);
}

void Mesh::told_of(const std::string& teller, std::vector<cluster::Place> places) {
  if (!inner_->members.contains(teller)) return;
  if (inner_->whereabouts.told(teller, std::move(places))) inner_->refresh_addresses();
}

bool Mesh::is_linked(const std::string& device) const { return inner_->link->session(device) != nullptr; }

std::optional<link::RoundTrip> Mesh::round_trip(const std::string& device) const {
  const auto session = inner_->link->session(device);
  return session ? session->round_trip() : std::nullopt;
}

Result<void> Mesh::send(const std::string& device, std::string name, Json body) {
  const auto session = inner_->link->session(device);
  if (!session) return Error{Code::unavailable, "no link to " + inner_->roster.name_of(device), ""};
  return session->send(std::move(name), std::move(body));
}

void Mesh::broadcast(const std::string& name, const Json& body) { inner_->broadcast(name, body); }

Result<std::unique_ptr<link::Tunnel>> Mesh::open_tunnel(const std::string& device,
                                                        const std::string& target) {
  return inner_->link->open_tunnel(device, target);
}

void Mesh::pairing_changed() {
  if (inner_->discovery) inner_->discovery->announce(inner_->beacon());
}

void Mesh::membership_changed() { inner_->membership_changed(); }

}  // namespace caravan::app
