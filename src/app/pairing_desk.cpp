#include "app/pairing_desk.h"

#include <algorithm>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include "app/pairing_talk.h"

namespace caravan::app {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

/// The other device reads our last word before we hang up.
constexpr std::chrono::seconds kLastWord{2};

Error not_open() {
  return {Code::unavailable, "nobody is being let in here now", "run `caravan invite` on this device first"};
}

asio::awaitable<std::optional<std::string>> first_message(std::shared_ptr<PairingTalk> talk) {
  const TimePoint until = Clock::now() + link::kPairingStep;
  while (!talk->inbox && !talk->broken && Clock::now() < until) {
    const std::uint64_t seen = talk->change.count();
    co_await (talk->change.past(seen) || pairing_pause(until));
  }
  std::optional<std::string> message = std::move(talk->inbox);
  talk->next();
  co_return message;
}

}  // namespace

struct PairingDesk::Inner : std::enable_shared_from_this<PairingDesk::Inner> {
  Inner(asio::any_io_executor loop, Roster& who) : executor(loop), roster(who) {}

  static asio::awaitable<void> serve(std::shared_ptr<Inner> self,
                                     std::unique_ptr<link::MessageSocket> socket);
  asio::awaitable<std::optional<Error>> talk_about_digits(std::shared_ptr<PairingTalk> talk,
                                                          std::string first);
  asio::awaitable<std::optional<Error>> talk_about_code(std::shared_ptr<PairingTalk> talk, std::string first);
  static asio::awaitable<std::optional<Error>> refuse(std::shared_ptr<PairingTalk> talk);
  template <typename Machine>
  link::PairingActions carry_out(Machine& machine, const link::PairingAction& action,
                                 const std::shared_ptr<PairingTalk>& talk);
  link::PairingSides sides(PairingTalk& talk) const;
  void changed() const {
    if (on_change) on_change();
  }

  asio::any_io_executor executor;
  Roster& roster;
  std::function<void()> on_change;
  // Shared with the conversations: one that is under way when they are closed ends by itself.
  std::shared_ptr<link::PairingWindow> window;
  std::shared_ptr<link::Invitation> invitation;
  std::shared_ptr<PairingTalk> asking;  ///< whose digits are shown
  std::string digits;
  std::string peer;
  std::string joined;  ///< the last device that was let in since pairing was opened
  std::string failed;  ///< why the last conversation came to nothing
};

PairingDesk::PairingDesk(asio::any_io_executor executor, Roster& roster)
    : inner_(std::make_shared<Inner>(executor, roster)) {}

PairingDesk::~PairingDesk() { inner_->on_change = nullptr; }

void PairingDesk::on_change(std::function<void()> changed) { inner_->on_change = std::move(changed); }

Result<void> PairingDesk::open_window() {
  if (!inner_->roster.is_owner())
    return Error{Code::invalid, "this device is no owner of its cluster and cannot let others in",
                 "run `caravan invite` on an owner, or `caravan promote` there"};
  if (inner_->asking)
    return Error{Code::unavailable, "a device is being let in at this moment", "answer that first"};
  inner_->window = std::make_shared<link::PairingWindow>(Clock::now());
  inner_->joined.clear();
  inner_->failed.clear();
  inner_->changed();
  return {};
}

Result<std::string> PairingDesk::make_code(std::vector<link::CodeAddress> addresses) {
  if (auto opened = open_window(); !opened) return opened.error();
  addresses.resize(std::min(addresses.size(), link::kMaxCodeAddresses));
  const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(link::kCodeLifetime);
  auto code = link::InvitationCode::make(inner_->roster.identity().public_key(), std::move(addresses),
                                         link::random_bytes(link::kSecretBytes),
                                         seconds_now() + static_cast<std::uint64_t>(lifetime.count()));
  if (!code) return code.error();
  std::string text = code->text();
  inner_->invitation = std::make_shared<link::Invitation>(std::move(*code), Clock::now());
  inner_->changed();
  return text;
}

void PairingDesk::close() {
  if (inner_->asking) {
    inner_->asking->answer = false;
    inner_->asking->change.notify();
  }
  inner_->window.reset();
  inner_->invitation.reset();
  inner_->changed();
}

bool PairingDesk::is_open() const {
  const TimePoint now = Clock::now();
  return (inner_->window && inner_->window->is_open(now)) ||
         (inner_->invitation && inner_->invitation->is_open(now));
}

Result<void> PairingDesk::confirm(const std::string& digits, bool same) {
  if (!inner_->asking || inner_->digits != digits)
    return Error{Code::invalid, "these digits are not being compared now", "look at the screens again"};
  inner_->asking->answer = same;
  inner_->asking->change.notify();
  return {};
}

Json PairingDesk::view() const {
  const TimePoint now = Clock::now();
  Json value{{"open", is_open()}, {"joined", inner_->joined}, {"failed", inner_->failed}};
  if (inner_->window && inner_->window->is_open(now)) {
    const auto left = inner_->window->closes_at() - now;
    value["seconds_left"] = std::chrono::duration_cast<std::chrono::seconds>(left).count();
    value["tries_left"] = inner_->window->tries_left();
  }
  value["code"] = inner_->invitation && inner_->invitation->is_open(now);
  if (inner_->asking) {
    value["digits"] = inner_->digits;
    value["peer"] = inner_->peer;
  }
  return value;
}

asio::awaitable<void> PairingDesk::serve(std::unique_ptr<link::MessageSocket> socket) {
  return Inner::serve(inner_, std::move(socket));
}

asio::awaitable<void> PairingDesk::Inner::serve(std::shared_ptr<Inner> self,
                                                std::unique_ptr<link::MessageSocket> socket) {
  const auto talk = std::make_shared<PairingTalk>(self->executor, std::move(socket));
  asio::co_spawn(self->executor, PairingTalk::read(talk), asio::detached);
  auto first = co_await first_message(talk);
  if (first) {
    const auto message = link::decode_pairing_message(*first);
    const bool by_code = message && std::holds_alternative<link::CodeProof>(*message);
    std::string text = std::move(*first);
    auto conversation = by_code ? self->talk_about_code(talk, std::move(text))
                                : self->talk_about_digits(talk, std::move(text));
    const auto failure = co_await std::move(conversation);
    if (failure) self->failed = failure->message;
  }
  if (self->asking == talk) self->asking.reset();
  self->changed();
  const TimePoint until = Clock::now() + kLastWord;
  while (!talk->broken && Clock::now() < until) {
    const std::uint64_t seen = talk->change.count();
    co_await (talk->change.past(seen) || pairing_pause(until));
  }
  talk->end();
}

link::PairingSides PairingDesk::Inner::sides(PairingTalk& talk) const {
  link::PairingSides sides;
  sides.own = roster.identity().public_key();
  sides.peer = talk.socket->connection().peer_key();
  if (const auto binding = talk.socket->connection().channel_binding())
    sides.binding = std::string(link::text_of(*binding));
  const auto nonce = link::exactly<32>(link::random_bytes(32));
  if (nonce) sides.nonce = *nonce;
  return sides;
}

template <typename Machine>
link::PairingActions PairingDesk::Inner::carry_out(Machine& machine, const link::PairingAction& action,
                                                   const std::shared_ptr<PairingTalk>& talk) {
  if (const auto* shown = std::get_if<link::ShowDigits>(&action)) {
    asking = talk;
    digits = shown->digits;
    peer = shown->peer_name;
    changed();
  } else if (const auto* admitted = std::get_if<link::AdmitDevice>(&action)) {
    if (auto added = roster.add(admitted->device, admitted->name); !added)
      return machine.cannot_admit(added.error());
    talk->socket->allow(link::kMaxWelcomeBytes);  // it is a member now, and gets the membership
    joined = admitted->name;
    return machine.welcome(roster.membership().document());
  }
  return {};
}

asio::awaitable<std::optional<Error>> PairingDesk::Inner::refuse(std::shared_ptr<PairingTalk> talk) {
  link::PairingActions actions = link::refuse(not_open());
  for (link::PairingAction& action : actions) {
    auto* text = std::get_if<link::SendText>(&action);
    if (text == nullptr) continue;
    std::string said = std::move(text->text);
    (void)co_await talk->socket->send(std::move(said));
  }
  co_return not_open();
}

asio::awaitable<std::optional<Error>> PairingDesk::Inner::talk_about_digits(std::shared_ptr<PairingTalk> talk,
                                                                            std::string first) {
  const TimePoint now = Clock::now();
  const auto held = window;
  if (!held || !held->is_open(now)) {
    auto refused = co_await refuse(talk);
    co_return refused;
  }
  link::NumericOwner machine(*held, sides(*talk), roster.membership().state().cluster_name,
                             roster.name_of(roster.self()), now);
  auto actions = machine.on(first, now);
  const auto carry = [&](const link::PairingAction& action) { return carry_out(machine, action, talk); };
  auto failure = co_await converse(talk, machine, std::move(actions), carry);
  co_return failure;
}

asio::awaitable<std::optional<Error>> PairingDesk::Inner::talk_about_code(std::shared_ptr<PairingTalk> talk,
                                                                          std::string first) {
  const TimePoint now = Clock::now();
  const auto held = invitation;
  if (!held || !held->is_open(now)) {
    auto refused = co_await refuse(talk);
    co_return refused;
  }
  const link::PairingSides known = sides(*talk);
  link::CodeSides code_sides;
  code_sides.own = known.own;
  code_sides.peer = known.peer;
  code_sides.binding = known.binding;
  link::CodeOwner machine(*held, std::move(code_sides), now);
  auto actions = machine.on(first, now);
  const auto carry = [&](const link::PairingAction& action) { return carry_out(machine, action, talk); };
  auto failure = co_await converse(talk, machine, std::move(actions), carry);
  co_return failure;
}

}  // namespace caravan::app
