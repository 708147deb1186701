#include "link/pairing_message.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "link/membership_change.h"

namespace caravan::link {
namespace {

constexpr std::size_t kMaxErrorText = 300;
constexpr std::size_t kMaxTypeText = 32;

Json json_of(const PairHello& it) {
  return {{"type", "pair_hello"}, {"version", it.version}, {"name", it.name}};
}
Json json_of(const PairCommit& it) {
  return {{"type", "pair_commit"},
          {"version", it.version},
          {"cluster", it.cluster},
          {"name", it.name},
          {"commitment", hex(it.commitment)}};
}
Json json_of(const PairNonce& it) { return {{"type", "pair_nonce"}, {"nonce", hex(it.nonce)}}; }
Json json_of(const PairReveal& it) { return {{"type", "pair_reveal"}, {"nonce", hex(it.nonce)}}; }
Json json_of(const PairWelcome& it) {
  return {{"type", "pair_welcome"}, {"membership", Json::parse(it.membership, nullptr, false)}};
}
Json json_of(const CodeProof& it) {
  return {{"type", "code_proof"}, {"version", it.version}, {"name", it.name}, {"proof", hex(it.proof)}};
}
Json json_of(const CodeWelcome& it) {
  return {{"type", "code_welcome"},
          {"proof", hex(it.proof)},
          {"membership", Json::parse(it.membership, nullptr, false)}};
}
Json json_of(const PairRefusal& it) { return {{"type", "pair_refusal"}, {"error", to_json(it.error)}}; }

/// The fields of one message, with what only these messages have.
class Reader {
 public:
  Reader(const Json& message, const std::string& type)
      : fields_(message, printable(std::string_view(type).substr(0, kMaxTypeText))), type_(type) {}

  int version() {
    const int version = fields_.small("version");
    if (fields_.ok() && version != kPairingVersion) {
      fields_.fail(Error{
          Code::incompatible,
          fmt::format("the other device pairs with version {}, this one with {}", version, kPairingVersion),
          "install the same version of caravan on both"});
    }
    return version;
  }
  std::string name(std::string_view field) {
    std::string text = fields_.text(field);
    if (const std::string problem = name_problem(text); !problem.empty()) fields_.fail(field, problem);
    return text;
  }
  Hash hash(std::string_view field) {
    const auto bytes = exactly<32>(from_hex(fields_.text(field)));
    if (!bytes) fields_.fail(field, "must be 64 lower-case hex digits");
    return bytes.value_or(Hash{});
  }
  std::string membership() {
    const Json* object = fields_.object_or_none("membership");
    if (object == nullptr) fields_.fail("membership", "must be an object");
    return object == nullptr ? "" : dump_json(*object);
  }
  Error refusal() {
    const Json* object = fields_.object_or_none("error");
    if (object == nullptr) fields_.fail("error", "must be an object");
    Error error = object == nullptr ? Error{} : error_from_json(*object);
    error.message = printable(std::string_view(error.message).substr(0, kMaxErrorText));
    error.hint = printable(std::string_view(error.hint).substr(0, kMaxErrorText));
    return error;
  }

  PairingMessage message() {
    if (type_ == "pair_hello") return PairHello{version(), name("name")};
    if (type_ == "pair_commit") {
      return PairCommit{version(), name("cluster"), name("name"), hash("commitment")};
    }
    if (type_ == "pair_nonce") return PairNonce{hash("nonce")};
    if (type_ == "pair_reveal") return PairReveal{hash("nonce")};
    if (type_ == "pair_welcome") return PairWelcome{membership()};
    if (type_ == "code_proof") return CodeProof{version(), name("name"), hash("proof")};
    if (type_ == "code_welcome") return CodeWelcome{hash("proof"), membership()};
    if (type_ == "pair_refusal") return PairRefusal{refusal()};
    fields_.fail("type", "is none that this version knows");
    return PairRefusal{};
  }
  const Fields& fields() const { return fields_; }

 private:
  Fields fields_;
  std::string type_;
};

}  // namespace

std::string encode(const PairingMessage& message) {
  return dump_json(std::visit([](const auto& it) { return json_of(it); }, message));
}

Result<PairingMessage> decode_pairing_message(std::string_view text, std::size_t max_bytes) {
  const auto json = parse_json(text, max_bytes);
  if (!json) return with_context(json.error(), "pairing message");
  Fields outer(*json, "pairing message");
  const std::string type = outer.text("type");
  if (!outer.ok()) return outer.error();
  Reader reader(*json, type);
  PairingMessage message = reader.message();
  if (!reader.fields().ok()) return reader.fields().error();
  return message;
}

PairingActions refuse(Error error, bool tell_peer) {
  PairingActions actions;
  if (tell_peer) actions.emplace_back(SendText{encode(PairRefusal{error})});
  actions.emplace_back(PairingFailed{std::move(error)});
  return actions;
}

}  // namespace caravan::link
