#include "fabric/module/greeting.h"

#include "base/text.h"
#include "fabric/wire/proof.h"

namespace caravan::fabric {
namespace {

/// The payload of the next frame, which has to be of `type`; it may be an ERROR instead.
Result<std::string> next_payload(Socket& socket, Type type, Expecting expecting, Clock::time_point deadline) {
  std::string header(kHeaderBytes, '\0');
  if (auto read = socket.read_all(header, &deadline); !read) return read.error();
  const auto parsed = read_header(header, expecting);
  if (!parsed) return parsed.error();
  std::string payload(parsed->payload_bytes, '\0');
  if (auto read = socket.read_all(payload, &deadline); !read) return read.error();
  if (parsed->type == Type::error) return told_error(payload);
  if (parsed->type != type) return malformed(parsed->type, "nobody expects it here");
  return payload;
}

}  // namespace

Error told_error(std::string_view payload) {
  const auto told = read_message<ErrorMessage>(payload);
  if (!told) return told.error();
  auto error = to_error(told.value());
  error.message = printable(error.message);
  error.hint = printable(error.hint);
  return error;
}

Result<Welcome> greet(Socket& socket, const Key& key, const std::string& engine, Clock::time_point deadline) {
  const auto nonce = fresh_nonce();
  if (!nonce) return nonce.error();
  Hello mine;
  mine.role = Role::master;
  mine.nonce = nonce.value();
  mine.engine = engine;
  std::string out;
  append_message(out, mine);
  const auto my_payload = out.substr(kHeaderBytes);
  if (auto sent = socket.write_all(out, deadline); !sent) return sent.error();

  const Expecting greeting{Role::worker, false};
  const auto their_payload = next_payload(socket, Type::hello, greeting, deadline);
  if (!their_payload) return their_payload.error();
  const auto theirs = read_message<Hello>(their_payload.value());
  if (!theirs) return theirs.error();
  if (auto checked = check_hello(theirs.value(), engine, Role::worker, Role::worker); !checked)
    return checked.error();

  out.clear();
  append_message(out, Proof{proof_of(key, Side::connecting, my_payload, their_payload.value())});
  if (auto sent = socket.write_all(out, deadline); !sent) return sent.error();
  const auto answer = next_payload(socket, Type::proof, greeting, deadline);
  if (!answer) return answer.error();
  const auto proof = read_message<Proof>(answer.value());
  if (!proof) return proof.error();
  if (!same(proof->mac, proof_of(key, Side::accepting, my_payload, their_payload.value())))
    return Error{Code::invalid, "it does not have this plan's key", "start the plan again"};
  const auto welcome = next_payload(socket, Type::welcome, {Role::worker, true}, deadline);
  if (!welcome) return welcome.error();
  return read_message<Welcome>(welcome.value());
}

}  // namespace caravan::fabric
