#include "app/joining.h"

#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "app/pairing_talk.h"
#include "app/roster.h"
#include "base/text.h"
#include "link/dial.h"
#include "link/discovery.h"
#include "link/known_addresses.h"
#include "link/membership_store.h"
#include "link/pairing_numeric.h"

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::chrono::milliseconds kMoreDoors{1'500};

std::vector<OpenDoor> open_doors(link::NeighbourTable& table) {
  std::vector<OpenDoor> doors;
  for (const link::Neighbour& neighbour : table.list()) {
    if (!neighbour.pairing_open) continue;
    OpenDoor door{neighbour.device, neighbour.name, {}};
    for (const link::HeardAddress& heard : neighbour.addresses) door.addresses.push_back(heard.address);
    doors.push_back(std::move(door));
  }
  return doors;
}

/// The first address that answers.
asio::awaitable<Result<std::shared_ptr<PairingTalk>>> talk_to(const link::Identity& identity,
                                                              std::vector<link::LinkAddress> addresses,
                                                              std::string device) {
  const auto executor = co_await asio::this_coro::executor;
  Error last{Code::unavailable, "there is no address to join at", "give one: `--peer 192.168.1.20:7433`"};
  for (const link::LinkAddress& address : addresses) {
    link::KeyCheck check = [&device](const link::PublicKey& key) {
      return device.empty() || link::device_id(key) == device;
    };
    auto socket =
        co_await link::dial_pairing(executor, identity, address.host, address.port, std::move(check));
    if (socket) {
      auto talk = std::make_shared<PairingTalk>(executor, std::move(*socket));
      talk->dialled = address;
      asio::co_spawn(executor, PairingTalk::read(talk), asio::detached);
      co_return talk;
    }
    last = with_context(socket.error(), fmt::format("{}:{}", address.host, address.port));
  }
  co_return last;
}

/// What the owner gave is checked against the key that was talked to, and replaces a cluster of one's own.
Result<Joined> settle(const fs::path& folder, const link::Identity& identity, const std::string& document,
                      const link::PublicKey& inviter, const link::LinkAddress& dialled) {
  auto membership = link::Membership::join(document, inviter, identity.public_key());
  if (!membership) return membership.error();
  if (auto retired = link::retire_membership(folder); !retired) return retired.error();
  std::error_code ignored;  // what should run is the new cluster's business
  fs::remove(folder / "deployment.json", ignored);
  if (auto saved = link::save_membership(folder, *membership); !saved) return saved.error();
  // Where no beacon gets through, nothing else would tell the node where the others are.
  link::KnownAddresses known;
  known.used(link::device_id(inviter), dialled, seconds_now());
  if (auto saved = link::save_addresses(folder / "addresses.json", known); !saved) return saved.error();
  return Joined{membership->state().cluster_name, membership->state().members.size()};
}

template <typename Machine>
asio::awaitable<Result<Joined>> join_with(const fs::path& folder, const link::Identity& identity,
                                          std::shared_ptr<PairingTalk> talk, Machine& machine,
                                          std::function<void(const link::ShowDigits&)> show) {
  std::optional<std::string> document;
  auto actions = machine.start(Clock::now());
  const auto carry_out = [&](const link::PairingAction& action) {
    if (const auto* digits = std::get_if<link::ShowDigits>(&action)) show(*digits);
    if (const auto* joined = std::get_if<link::JoinedCluster>(&action)) document = joined->document;
    return link::PairingActions();
  };
  const auto failure = co_await converse(talk, machine, std::move(actions), carry_out);
  const link::PublicKey inviter = talk->socket->connection().peer_key();
  talk->end();
  if (failure) co_return *failure;
  if (!document) co_return Error{Code::disconnected, "the other device ended the pairing", "try again"};
  co_return settle(folder, identity, *document, inviter, talk->dialled);
}

Result<std::string> binding_of(PairingTalk& talk) {
  const auto binding = talk.socket->connection().channel_binding();
  if (!binding) return binding.error();
  return std::string(link::text_of(*binding));
}

}  // namespace

Result<void> check_free_to_join(const fs::path& folder) {
  const auto membership = link::load_membership(folder);
  if (!membership) return membership.error();
  if (!*membership) return {};
  const auto& state = (*membership)->state();
  const auto identity = link::Identity::load_or_create(folder);
  if (!identity) return identity.error();
  if (state.members.size() < 2 || !state.is_member(identity->public_key())) return {};
  return Error{Code::invalid,
               fmt::format("this device is in the cluster '{}' with {} others", printable(state.cluster_name),
                           state.members.size() - 1),
               "`caravan leave` takes it out; then it can join another one"};
}

asio::awaitable<Result<std::vector<OpenDoor>>> find_open_doors(std::string self,
                                                               std::chrono::milliseconds patience) {
  const auto executor = co_await asio::this_coro::executor;
  auto socket = link::BeaconSocket::open(executor, link::BeaconPlaces{});
  if (!socket) co_return socket.error();
  link::Beacon beacon;
  beacon.device = std::move(self);
  beacon.link_port = link::kLinkPort;
  engine::Change heard(executor);
  std::function<void()> changed = [&heard]() { heard.notify(); };
  link::Discovery discovery(std::move(*socket), executor, std::move(beacon), std::move(changed));
  discovery.look(true);
  const TimePoint start = Clock::now();
  const auto wait = [&]() -> asio::awaitable<void> {
    while (open_doors(discovery.neighbours()).empty() && Clock::now() < start + patience) {
      const std::uint64_t seen = heard.count();
      co_await (heard.past(seen) || pairing_pause(start + patience));
    }
    co_await pairing_pause(std::min(Clock::now() + kMoreDoors, start + patience));
    discovery.stop();
  };
  co_await (discovery.run() && wait());
  auto doors = open_doors(discovery.neighbours());
  if (!doors.empty()) co_return doors;
  co_return Error{
      Code::not_found, "no device here lets others in at this moment",
      "run `caravan invite` on a device of the cluster; where beacons do not get through, use the code of "
      "`caravan invite --code`, or `--peer ADDRESS`"};
}

asio::awaitable<Result<Joined>> join_by_digits(
    JoinOptions options, OpenDoor door, std::function<void(const std::string&, const std::string&)> show) {
  auto identity = link::Identity::load_or_create(options.folder);
  if (!identity) co_return identity.error();
  auto talk = co_await talk_to(*identity, door.addresses, door.device);
  if (!talk) co_return talk.error();
  const auto binding = binding_of(**talk);
  if (!binding) co_return binding.error();
  link::PairingSides sides;
  sides.own = identity->public_key();
  sides.peer = (*talk)->socket->connection().peer_key();
  sides.binding = *binding;
  sides.nonce = link::exactly<32>(link::random_bytes(32)).value();
  link::NumericJoiner machine(std::move(sides), options.name);
  std::function<void(const link::ShowDigits&)> show_digits = [&show](const link::ShowDigits& shown) {
    show(shown.digits, shown.peer_name);
  };
  co_return co_await join_with(options.folder, *identity, *talk, machine, std::move(show_digits));
}

asio::awaitable<Result<Joined>> join_by_code(JoinOptions options, link::InvitationCode code,
                                             std::vector<link::LinkAddress> more) {
  auto identity = link::Identity::load_or_create(options.folder);
  if (!identity) co_return identity.error();
  std::vector<link::LinkAddress> addresses;
  for (const link::CodeAddress& address : code.addresses()) addresses.push_back({address.host, address.port});
  addresses.insert(addresses.end(), more.begin(), more.end());
  auto talk = co_await talk_to(*identity, std::move(addresses), code.owner_id());
  if (!talk) co_return talk.error();
  auto binding = binding_of(**talk);
  if (!binding) co_return binding.error();
  link::CodeSides sides;
  sides.own = identity->public_key();
  sides.peer = (*talk)->socket->connection().peer_key();
  sides.binding = std::move(*binding);
  link::CodeJoiner machine(std::move(code), std::move(sides), options.name);
  std::function<void(const link::ShowDigits&)> nothing = [](const link::ShowDigits&) {};
  co_return co_await join_with(options.folder, *identity, *talk, machine, std::move(nothing));
}

}  // namespace caravan::app
