#include "link/pairing_numeric.h"

#include <fmt/format.h>

namespace caravan::link {
namespace {

constexpr std::uint32_t kDigitsModulus = 1'000'000;

/// The purpose, a zero byte, both keys, and the binding's hash: all of fixed length but the purpose, which
/// has no zero byte, so that no two inputs give the same bytes.
std::string common_input(std::string_view purpose, const PublicKey& first, const PublicKey& second,
                         std::string_view binding) {
  std::string bytes(purpose);
  bytes += '\0';
  bytes += text_of(first);
  bytes += text_of(second);
  bytes += text_of(sha256(binding));
  return bytes;
}

Error out_of_turn() {
  return Error{Code::invalid, "the other device sent a message out of turn",
               "try again; if it happens again, somebody may be interfering"};
}

Error too_slow(std::string_view whom) {
  return Error{Code::unavailable, fmt::format("{} did not answer in time", whom), "try again"};
}

Error mismatch() {
  return Error{Code::invalid, "the digits were not confirmed as the same on both screens",
               "if they differed, somebody may be in the middle: use `caravan invite` with a code"};
}

Error refused_by_peer(const Error& error) {
  return with_context(error, "the other device ended the pairing");
}

}  // namespace

Hash pairing_commitment(const PublicKey& owner, const PublicKey& joiner, std::string_view binding,
                        const Hash& owner_nonce) {
  std::string input = common_input("caravan pairing commitment 1", owner, joiner, binding);
  input += text_of(owner_nonce);
  return sha256(input);
}

std::string pairing_digits(const PublicKey& joiner, const PublicKey& owner, std::string_view binding,
                           const Hash& joiner_nonce, const Hash& owner_nonce) {
  std::string input = common_input("caravan pairing digits 1", joiner, owner, binding);
  input += text_of(joiner_nonce);
  input += text_of(owner_nonce);
  const Hash hash = sha256(input);
  // Big-endian, as g2 takes the value modulo 2^32 before its last six digits.
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8U | hash[i];
  return fmt::format("{:06}", value % kDigitsModulus);
}

Result<void> PairingWindow::begin(TimePoint now) {
  const auto closed = [](std::string_view why) {
    return Error{Code::unavailable, std::string(why), "run `caravan invite` on an owner again"};
  };
  if (failures_ >= kPairingTries) return closed("pairing closed after three failed tries");
  if (now >= closes_at_) return closed("the time for pairing is over");
  if (busy_) return Error{Code::unavailable, "another device is being paired", "wait until that is done"};
  busy_ = true;
  return {};
}

void PairingWindow::end(bool succeeded) {
  busy_ = false;
  if (!succeeded) ++failures_;
}

// The joiner.

PairingActions NumericJoiner::start(TimePoint now) {
  state_ = State::commit;
  deadline_ = now + kPairingStep;
  return {SendText{encode(PairHello{kPairingVersion, name_})}};
}

PairingActions NumericJoiner::on(std::string_view message, TimePoint now) {
  if (is_over()) return {};
  const auto decoded = decode_pairing_message(message, max_message_bytes());
  if (!decoded) return fail(decoded.error());
  return std::visit([&](const auto& it) { return handle(it, now); }, *decoded);
}

std::size_t NumericJoiner::max_message_bytes() const {
  return state_ == State::person ? kMaxWelcomeBytes : kMaxPairingBytes;
}

PairingActions NumericJoiner::handle(const PairCommit& message, TimePoint now) {
  if (state_ != State::commit) return fail(out_of_turn());
  commit_ = message;
  state_ = State::reveal;
  deadline_ = now + kPairingStep;
  return {SendText{encode(PairNonce{sides_.nonce})}};
}

PairingActions NumericJoiner::handle(const PairReveal& message, TimePoint now) {
  if (state_ != State::reveal) return fail(out_of_turn());
  const Hash expected = pairing_commitment(sides_.peer, sides_.own, sides_.binding, message.nonce);
  if (expected != commit_.commitment) {
    return fail(Error{Code::invalid, "the other device did not keep to what it had committed to",
                      "somebody may be in the middle: use `caravan invite` with a code"});
  }
  state_ = State::person;
  deadline_ = now + kPairingPerson + kPairingGrace;
  return {ShowDigits{pairing_digits(sides_.own, sides_.peer, sides_.binding, sides_.nonce, message.nonce),
                     sides_.peer, commit_.name, commit_.cluster}};
}

PairingActions NumericJoiner::handle(const PairWelcome& message, TimePoint /*now*/) {
  if (state_ != State::person || welcome_) return fail(out_of_turn());
  welcome_ = message.membership;
  return join_if_agreed();
}

PairingActions NumericJoiner::handle(const PairRefusal& message, TimePoint /*now*/) {
  return fail(refused_by_peer(message.error), false);
}

template <typename Other>
PairingActions NumericJoiner::handle(const Other& /*message*/, TimePoint /*now*/) {
  return fail(out_of_turn());
}

PairingActions NumericJoiner::confirm(bool same, TimePoint /*now*/) {
  if (state_ != State::person) return {};
  if (!same) return fail(mismatch());
  agreed_ = true;
  return join_if_agreed();
}

PairingActions NumericJoiner::join_if_agreed() {
  if (!agreed_ || !welcome_) return {};
  state_ = State::over;
  return {JoinedCluster{*std::move(welcome_)}};
}

PairingActions NumericJoiner::on_time(TimePoint now) {
  const auto deadline = next_deadline();
  if (!deadline || now < *deadline) return {};
  return fail(too_slow(welcome_ ? "the person at this device" : "the owner"));
}

std::optional<TimePoint> NumericJoiner::next_deadline() const {
  if (state_ == State::idle || is_over()) return std::nullopt;
  return deadline_;
}

PairingActions NumericJoiner::fail(Error error, bool tell_peer) {
  state_ = State::over;
  return refuse(std::move(error), tell_peer);
}

// The owner.

NumericOwner::NumericOwner(PairingWindow& window, PairingSides sides, std::string cluster, std::string name,
                           TimePoint now)
    : window_(&window),
      sides_(std::move(sides)),
      cluster_(std::move(cluster)),
      name_(std::move(name)),
      deadline_(now + kPairingStep) {}

NumericOwner::~NumericOwner() { end(false); }

PairingActions NumericOwner::on(std::string_view message, TimePoint now) {
  if (is_over()) return {};
  const auto decoded = decode_pairing_message(message);
  if (!decoded) return fail(decoded.error());
  return std::visit([&](const auto& it) { return handle(it, now); }, *decoded);
}

PairingActions NumericOwner::handle(const PairHello& message, TimePoint now) {
  if (state_ != State::hello) return fail(out_of_turn());
  if (auto begun = window_->begin(now); !begun) return fail(begun.error());
  counts_ = true;
  joiner_name_ = message.name;
  state_ = State::nonce;
  deadline_ = now + kPairingStep;
  const Hash commitment = pairing_commitment(sides_.own, sides_.peer, sides_.binding, sides_.nonce);
  return {SendText{encode(PairCommit{kPairingVersion, cluster_, name_, commitment})}};
}

PairingActions NumericOwner::handle(const PairNonce& message, TimePoint now) {
  if (state_ != State::nonce) return fail(out_of_turn());
  state_ = State::person;
  deadline_ = now + kPairingPerson;
  return {SendText{encode(PairReveal{sides_.nonce})},
          ShowDigits{pairing_digits(sides_.peer, sides_.own, sides_.binding, message.nonce, sides_.nonce),
                     sides_.peer, joiner_name_, ""}};
}

PairingActions NumericOwner::handle(const PairRefusal& message, TimePoint /*now*/) {
  return fail(refused_by_peer(message.error), false);
}

template <typename Other>
PairingActions NumericOwner::handle(const Other& /*message*/, TimePoint /*now*/) {
  return fail(out_of_turn());
}

PairingActions NumericOwner::confirm(bool same, TimePoint /*now*/) {
  if (state_ != State::person) return {};
  if (!same) return fail(mismatch());
  state_ = State::admitting;
  return {AdmitDevice{sides_.peer, joiner_name_}};
}

PairingActions NumericOwner::welcome(std::string document) {
  if (state_ != State::admitting) return {};
  state_ = State::over;
  end(true);
  return {SendText{encode(PairWelcome{std::move(document)})}};
}

PairingActions NumericOwner::cannot_admit(Error error) {
  return state_ == State::admitting ? fail(std::move(error)) : PairingActions{};
}

PairingActions NumericOwner::on_time(TimePoint now) {
  const auto deadline = next_deadline();
  if (!deadline || now < *deadline) return {};
  return fail(too_slow(state_ == State::person ? "the person at the owner" : "the joining device"));
}

std::optional<TimePoint> NumericOwner::next_deadline() const {
  if (state_ == State::admitting || is_over()) return std::nullopt;
  return deadline_;
}

PairingActions NumericOwner::fail(Error error, bool tell_peer) {
  state_ = State::over;
  end(false);
  return refuse(std::move(error), tell_peer);
}

void NumericOwner::end(bool succeeded) {
  if (counts_) window_->end(succeeded);
  counts_ = false;
}

}  // namespace caravan::link
