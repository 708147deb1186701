#include "link/pairing_code.h"

#include <fmt/format.h>

namespace caravan::link {

Hash InvitationCode::proof(std::string_view purpose, const PublicKey& joiner, const PublicKey& owner,
                           std::string_view binding) const {
  std::string input(purpose);
  input += '\0';
  input += text_of(joiner);
  input += text_of(owner);
  input += text_of(sha256(binding));
  return hmac_sha256(secret_, input);
}

Hash InvitationCode::joiner_proof(const PublicKey& joiner, const PublicKey& owner,
                                  std::string_view binding) const {
  return proof("caravan code joiner 1", joiner, owner, binding);
}

Hash InvitationCode::owner_proof(const PublicKey& joiner, const PublicKey& owner,
                                 std::string_view binding) const {
  return proof("caravan code owner 1", joiner, owner, binding);
}

Result<Hash> Invitation::redeem(const Hash& joiner_proof, const PublicKey& joiner, const PublicKey& owner,
                                std::string_view binding, TimePoint now) {
  const std::string hint = "run `caravan invite` on an owner for a new code";
  if (used_) return Error{Code::unavailable, "this code has been used", hint};
  if (now >= ends_) return Error{Code::unavailable, "this code is too old", hint};
  const Hash expected = code_.joiner_proof(joiner, owner, binding);
  if (!same_secret(text_of(expected), text_of(joiner_proof))) {
    return Error{Code::invalid, "this is not the code in force", hint};
  }
  used_ = true;
  return code_.owner_proof(joiner, owner, binding);
}

PairingActions CodeJoiner::start(TimePoint now) {
  if (device_id(sides_.peer) != code_.owner_id()) {
    return fail(Error{Code::invalid, "the device that answered is not the one that made the code",
                      "another device may have that address now: check both networks, or get a new code"},
                false);
  }
  state_ = State::welcome;
  deadline_ = now + kCodeStep;
  const Hash proof = code_.joiner_proof(sides_.own, sides_.peer, sides_.binding);
  return {SendText{encode(CodeProof{kPairingVersion, name_, proof})}};
}

PairingActions CodeJoiner::on(std::string_view message, TimePoint /*now*/) {
  if (is_over()) return {};
  const auto decoded = decode_pairing_message(message, max_message_bytes());
  if (!decoded) return fail(decoded.error());
  if (const auto* refusal = std::get_if<PairRefusal>(&*decoded)) {
    return fail(with_context(refusal->error, "the owner refused"), false);
  }
  const auto* welcome = std::get_if<CodeWelcome>(&*decoded);
  if (welcome == nullptr || state_ != State::welcome) {
    return fail(Error{Code::invalid, "the owner sent a message out of turn", "try again"});
  }
  const Hash expected = code_.owner_proof(sides_.own, sides_.peer, sides_.binding);
  if (!same_secret(text_of(expected), text_of(welcome->proof))) {
    return fail(Error{Code::invalid, "the owner does not know the code's secret", "get a new code from it"});
  }
  state_ = State::over;
  return {JoinedCluster{welcome->membership}};
}

std::size_t CodeJoiner::max_message_bytes() const {
  return state_ == State::welcome ? kMaxWelcomeBytes : kMaxPairingBytes;
}

PairingActions CodeJoiner::on_time(TimePoint now) {
  const auto deadline = next_deadline();
  if (!deadline || now < *deadline) return {};
  return fail(Error{Code::unavailable, "the owner did not answer in time", "try again"});
}

std::optional<TimePoint> CodeJoiner::next_deadline() const {
  return state_ == State::welcome ? std::optional(deadline_) : std::nullopt;
}

PairingActions CodeJoiner::fail(Error error, bool tell_peer) {
  state_ = State::over;
  return refuse(std::move(error), tell_peer);
}

PairingActions CodeOwner::on(std::string_view message, TimePoint now) {
  if (is_over() || state_ == State::penalty) return {};
  const auto decoded = decode_pairing_message(message);
  if (!decoded) return fail(decoded.error());
  if (const auto* refusal = std::get_if<PairRefusal>(&*decoded)) {
    return fail(with_context(refusal->error, "the joining device gave up"), false);
  }
  const auto* proof = std::get_if<CodeProof>(&*decoded);
  if (proof == nullptr || state_ != State::proof) {
    return fail(Error{Code::invalid, "the joining device sent a message out of turn", "try again"});
  }
  const auto answer = invitation_->redeem(proof->proof, sides_.peer, sides_.own, sides_.binding, now);
  if (!answer) {
    state_ = State::penalty;
    deadline_ = now + kGuessCost;
    wrong_ = answer.error();
    return {};
  }
  answer_ = answer.value();
  state_ = State::admitting;
  return {AdmitDevice{sides_.peer, proof->name}};
}

PairingActions CodeOwner::welcome(std::string document) {
  if (state_ != State::admitting) return {};
  state_ = State::over;
  return {SendText{encode(CodeWelcome{answer_, std::move(document)})}};
}

PairingActions CodeOwner::cannot_admit(Error error) {
  if (state_ != State::admitting) return {};
  invitation_->give_back();
  return fail(std::move(error));
}

PairingActions CodeOwner::on_time(TimePoint now) {
  const auto deadline = next_deadline();
  if (!deadline || now < *deadline) return {};
  if (state_ == State::penalty) return fail(wrong_);
  return fail(Error{Code::unavailable, "the joining device did not answer in time", "try again"});
}

std::optional<TimePoint> CodeOwner::next_deadline() const {
  const bool waits = state_ == State::proof || state_ == State::penalty;
  return waits ? std::optional(deadline_) : std::nullopt;
}

PairingActions CodeOwner::fail(Error error, bool tell_peer) {
  state_ = State::over;
  return refuse(std::move(error), tell_peer);
}

}  // namespace caravan::link
