#include "link/messages.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::link {
namespace {

constexpr int kMessageVersion = 1;
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kMaxCapabilities = 64;

Json envelope(std::string_view type) { return {{"type", type}, {"v", kMessageVersion}}; }

std::string short_text(Fields& fields, std::string_view name, std::size_t most) {
  std::string text = fields.text(name);
  if (text.empty()) fields.fail(name, "must not be empty");
  if (text.size() > most) fields.fail(name, fmt::format("must be at most {} bytes", most));
  return text;
}

void write_hello(Json& value, const Hello& hello) {
  value["protocol"] = hello.protocol;
  value["device"] = hello.device;
  value["name"] = hello.name;
  value["instance"] = hello.instance;
  value["engine"] = hello.engine;
  value["capabilities"] = hello.capabilities;
  value["membership"] = hello.membership;
}

std::vector<std::string> read_capabilities(Fields& fields, const Json& value) {
  std::vector<std::string> names;
  const auto found = value.find("capabilities");
  if (found == value.end() || found->is_null()) return names;
  if (!found->is_array() || found->size() > kMaxCapabilities) {
    fields.fail("capabilities", fmt::format("must be an array of at most {} names", kMaxCapabilities));
    return names;
  }
  for (const Json& name : *found) {
    const bool usable = name.is_string() && name.get_ref<const std::string&>().size() <= kMaxName;
    if (!usable) fields.fail("capabilities", fmt::format("must be names of at most {} bytes", kMaxName));
    if (usable) names.push_back(name.get<std::string>());
  }
  return names;
}

/// Another protocol may have another hello: then only what compare_hello needs to explain it is read.
Hello read_hello(Fields& fields, const Json& value) {
  Hello hello;
  hello.protocol = fields.small("protocol");
  if (fields.ok() && hello.protocol != kLinkVersion) {
    hello.name = shown(fields.text_or("name", ""));
    return hello;
  }
  hello.device = short_text(fields, "device", kMaxName);
  hello.name = short_text(fields, "name", kMaxName);
  hello.instance = short_text(fields, "instance", kMaxName);
  hello.engine = fields.text_or("engine", "");
  if (hello.engine.size() > kMaxName)
    fields.fail("engine", fmt::format("must be at most {} bytes", kMaxName));
  hello.capabilities = read_capabilities(fields, value);
  hello.membership = fields.whole_or("membership", 0);
  return hello;
}

Error read_error(Fields& fields) {
  Error error;
  error.code = code_from_name(fields.text("code"));
  error.message = short_text(fields, "message", kMaxText);
  error.hint = fields.text_or("hint", "");
  if (error.hint.size() > kMaxText) fields.fail("hint", fmt::format("must be at most {} bytes", kMaxText));
  return error;
}

void write_error(Json& value, const Error& error) {
  value["code"] = name_of(error.code);
  value["message"] = error.message.substr(0, kMaxText);
  value["hint"] = error.hint.substr(0, kMaxText);
}

Payload read_payload(Fields& fields, const Json& value) {
  Payload payload{short_text(fields, "name", kMaxName), nullptr};
  const auto body = value.find("body");
  if (body == value.end()) fields.fail("body", "is missing");
  if (fields.ok()) payload.body = *body;
  return payload;
}

Message read_message(Fields& fields, const Json& value, const std::string& type) {
  if (type == "hello") return read_hello(fields, value);
  if (type == "welcome") return Welcome{read_hello(fields, value)};
  if (type == "refused") return Refused{read_error(fields)};
  if (type == "ping") return Ping{fields.whole("sequence")};
  if (type == "pong") return Pong{fields.whole("sequence")};
  if (type == "dial_back") {
    return DialBack{short_text(fields, "target", kMaxName), short_text(fields, "token", kMaxName)};
  }
  if (type == "payload") return read_payload(fields, value);
  if (type != "error") return Unknown{type};
  Problem problem;
  problem.about = fields.text_or("about", "");
  if (problem.about.size() > kMaxName)
    fields.fail("about", fmt::format("must be at most {} bytes", kMaxName));
  problem.error = read_error(fields);
  return problem;
}

struct Encoder {
  Json operator()(const Hello& hello) const {
    Json value = envelope("hello");
    write_hello(value, hello);
    return value;
  }
  Json operator()(const Welcome& welcome) const {
    Json value = envelope("welcome");
    write_hello(value, welcome.hello);
    return value;
  }
  Json operator()(const Refused& refused) const {
    Json value = envelope("refused");
    write_error(value, refused.error);
    return value;
  }
  Json operator()(const Ping& ping) const {
    Json value = envelope("ping");
    value["sequence"] = ping.sequence;
    return value;
  }
  Json operator()(const Pong& pong) const {
    Json value = envelope("pong");
    value["sequence"] = pong.sequence;
    return value;
  }
  Json operator()(const DialBack& dial) const {
    Json value = envelope("dial_back");
    value["target"] = dial.target;
    value["token"] = dial.token;
    return value;
  }
  Json operator()(const Problem& problem) const {
    Json value = envelope("error");
    value["about"] = problem.about;
    write_error(value, problem.error);
    return value;
  }
  Json operator()(const Payload& payload) const {
    Json value = envelope("payload");
    value["name"] = payload.name;
    value["body"] = payload.body;
    return value;
  }
  Json operator()(const Unknown& unknown) const { return envelope(unknown.type); }
};

}  // namespace

std::string encode_message(const Message& message) { return dump_json(std::visit(Encoder{}, message)); }

Result<Message> decode_message(std::string_view text) {
  const auto value = parse_json(text, kMaxMessageBytes);
  if (!value) return value.error();
  Fields fields(*value, "message");
  const std::string type = short_text(fields, "type", kMaxName);
  if (fields.small("v") < 1) fields.fail("v", "must be at least 1");
  if (!fields.ok()) return fields.error();
  Message message = read_message(fields, *value, type);
  if (!fields.ok()) return with_context(fields.error(), type == "payload" ? "payload" : shown(type));
  return message;
}

std::string shown(std::string_view name) {
  std::string text = printable(name);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, '?');
  return text;
}

Result<void> compare_hello(const Hello& mine, const Hello& theirs) {
  const std::string who = theirs.name.empty() ? "the other device" : shown(theirs.name);
  if (theirs.protocol != mine.protocol) {
    const bool they_are_behind = theirs.protocol < mine.protocol;
    return Error{
        Code::incompatible,
        fmt::format("{} speaks link protocol {}, this cluster {}", who, theirs.protocol, mine.protocol),
        they_are_behind ? fmt::format("update Caravan on {}", who)
                        : fmt::format("update Caravan on {}", shown(mine.name))};
  }
  const bool comparable = !mine.engine.empty() && !theirs.engine.empty();
  if (comparable && mine.engine != theirs.engine) {
    return Error{
        Code::incompatible,
        fmt::format("{} runs engine {}, this cluster {}", who, shown(theirs.engine), shown(mine.engine)),
        "run `./run build` there"};
  }
  return {};
}

}  // namespace caravan::link
