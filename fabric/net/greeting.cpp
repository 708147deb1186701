#include "fabric/net/greeting.h"

#include "base/text.h"
#include "fabric/wire/messages.h"

namespace caravan::fabric {
namespace {

constexpr Milliseconds kTellingTime{1000};

template <typename M>
std::string frame_of(const M& message) {
  std::string frame;
  append_message(frame, message);
  return frame;
}

std::string_view payload_of(std::string_view frame) { return frame.substr(kHeaderBytes); }

Error wrong_key() {
  return {Code::invalid, "it does not have this plan's key", "start both ends from the same plan"};
}

/// The message of type M, or the other end's ERROR as an error of ours.
template <typename M>
Result<M> expect_message(const Frame& frame) {
  if (frame.type == Type::error) return told_error(frame.payload);
  if (frame.type != M::kType) return malformed(frame.type, "nobody expects it here");
  return read_message<M>(frame.payload);
}

Result<Accepted> accept_quietly(Channel& channel, FrameReader& reader, const Identity& own) {
  const SteadyTime deadline = Clock::now() + kGreetingTime;
  reader.expect({Role::master, false});
  const auto first = reader.next(&deadline);
  if (!first) return first.error();
  const auto theirs = expect_message<Hello>(*first);
  if (!theirs) return theirs.error();
  if (const auto fits = check_hello(*theirs, own.engine, Role::master, Role::peer); !fits)
    return fits.error();
  const auto nonce = fresh_nonce();
  if (!nonce) return nonce.error();
  Hello hello;
  hello.nonce = *nonce;
  hello.engine = own.engine;
  const std::string said = frame_of(hello);
  if (const auto sent = channel.write_all(said, kGreetingTime); !sent) return sent.error();
  const auto second = reader.next(&deadline);
  if (!second) return second.error();
  const auto proof = expect_message<Proof>(*second);
  if (!proof) return proof.error();
  if (!same(proof->mac, proof_of(own.key, Side::connecting, first->payload, payload_of(said))))
    return wrong_key();
  reader.expect({theirs->role, true});
  return Accepted{*theirs, {proof_of(own.key, Side::accepting, first->payload, payload_of(said))}};
}

}  // namespace

Error told_error(std::string_view payload) {
  const auto told = read_message<ErrorMessage>(payload);
  if (!told) return told.error();
  auto error = to_error(*told);
  error.message = printable(error.message);
  error.hint = printable(error.hint);
  return error;
}

void tell(Channel& channel, const Error& error, std::uint32_t stage, std::uint16_t about) {
  (void)channel.write_all(frame_of(to_message(error, stage, about)), kTellingTime);
}

Result<Accepted> accept_greeting(Channel& channel, FrameReader& reader, const Identity& own) {
  auto accepted = accept_quietly(channel, reader, own);
  if (!accepted && accepted.error().code != Code::disconnected) tell(channel, accepted.error(), 0, 0);
  return accepted;
}

Result<void> welcome(Channel& channel, const Accepted& accepted, const Welcome& message) {
  auto sent = channel.write_all(frame_of(accepted.own_proof) + frame_of(message), kGreetingTime);
  channel.start_sealing();
  return sent;
}

Result<Welcome> greet(Channel& channel, FrameReader& reader, const Identity& own, Hello hello,
                      SteadyTime deadline) {
  const auto nonce = fresh_nonce();
  if (!nonce) return nonce.error();
  hello.nonce = *nonce;
  hello.engine = own.engine;
  const std::string said = frame_of(hello);
  if (const auto sent = channel.write_all(said, kGreetingTime); !sent) return sent.error();
  reader.expect({Role::worker, false});
  const auto first = reader.next(&deadline);
  if (!first) return first.error();
  const auto theirs = expect_message<Hello>(*first);
  if (!theirs) return theirs.error();
  if (const auto fits = check_hello(*theirs, own.engine, Role::worker, Role::worker); !fits)
    return fits.error();
  const Proof proof{proof_of(own.key, Side::connecting, payload_of(said), first->payload)};
  if (const auto sent = channel.write_all(frame_of(proof), kGreetingTime); !sent) return sent.error();
  const auto second = reader.next(&deadline);
  if (!second) return second.error();
  const auto answer = expect_message<Proof>(*second);
  if (!answer) return answer.error();
  if (!same(answer->mac, proof_of(own.key, Side::accepting, payload_of(said), first->payload)))
    return wrong_key();
  reader.expect({Role::worker, true});
  const auto third = reader.next(&deadline);
  if (!third) return third.error();
  channel.start_sealing();
  return expect_message<Welcome>(*third);
}

}  // namespace caravan::fabric
