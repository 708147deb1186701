#include "engine/output.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace caravan::engine {
namespace {

constexpr std::size_t kMaxNameBytes = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// What stands behind the first `mark`, or nothing.
std::optional<std::string_view> after(std::string_view text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  return text.substr(at + mark.size());
}

std::string_view until(std::string_view text, std::string_view ends) {
  return text.substr(0, text.find_first_of(ends));
}

std::optional<int> whole_number(std::string_view text, int limit) {
  int value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = failure == std::errc() && end == text.data() + text.size();
  if (!whole || value < 0 || value > limit) return std::nullopt;
  return value;
}

/// "92.10" MiB. By hand: from_chars for floating point is missing in libc++.
std::optional<Bytes> mebibytes_from(std::string_view text) {
  const std::string_view before = until(text, ".");
  const std::string_view behind = text.substr(std::min(text.size(), before.size() + 1));
  const auto whole = whole_number(before, 1 << 30);
  const auto hundredths = behind.empty() ? 0 : whole_number(behind, 99);
  if (!whole || !hundredths || behind.size() > 2) return std::nullopt;
  const std::uint64_t scale = behind.size() == 1 ? 10 : 100;
  return Bytes{(std::uint64_t(*whole) << 20U) + (std::uint64_t(*hundredths) << 20U) / scale};
}

std::optional<EngineEvent> parse_layer(std::string_view text) {
  const auto rest = after(text, "layer ");
  if (!rest) return std::nullopt;
  constexpr std::string_view kMark = " assigned to device ";
  const auto device = after(*rest, kMark);
  if (!device) return std::nullopt;
  const auto layer = whole_number(trim(rest->substr(0, rest->find(kMark))), 100'000);
  const std::string_view name = until(*device, ", ");
  if (!layer || name.empty() || name.size() > kMaxNameBytes) return std::nullopt;
  return LayerAssigned{*layer, std::string(name)};
}

std::optional<BufferSize::Kind> buffer_kind(std::string_view word) {
  if (word == "model") return BufferSize::Kind::model;
  if (word == "KV" || word == "RS") return BufferSize::Kind::kv;  // RS: state of recurrent layers
  if (word == "compute") return BufferSize::Kind::compute;
  if (word == "output") return BufferSize::Kind::output;
  return std::nullopt;
}

/// "load_tensors: RPC0[127.0.0.1:50062] model buffer size =    21.14 MiB"
std::optional<EngineEvent> parse_buffer(std::string_view text) {
  constexpr std::string_view kMark = " buffer size =";
  const auto size = after(text, kMark);
  if (!size) return std::nullopt;
  const std::string_view head = text.substr(0, text.find(kMark));
  const std::size_t word = head.rfind(' ');
  if (word == std::string_view::npos) return std::nullopt;
  const auto kind = buffer_kind(head.substr(word + 1));
  const std::string_view front = trim(head.substr(0, word));
  const std::string_view device = front.substr(std::min(front.size(), front.rfind(' ') + 1));
  const auto bytes = mebibytes_from(until(trim(*size), " "));
  if (!kind || !bytes || device.empty() || device.size() > kMaxNameBytes) return std::nullopt;
  return BufferSize{std::string(device), *kind, *bytes};
}

/// "listening on http://127.0.0.1:37973", or of older builds "HTTP server is listening, hostname: 127.0.0.1,
/// port: 8080".
std::optional<EngineEvent> parse_listening(std::string_view text) {
  std::string_view host;
  std::string_view port;
  if (const auto address = after(text, "listening on http://")) {
    const std::string_view place = until(*address, "/ ");
    const std::size_t colon = place.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    host = place.substr(0, colon);
    port = place.substr(colon + 1);
  } else if (const auto name = after(text, "listening, hostname: ")) {
    host = until(*name, ", ");
    port = until(after(*name, "port: ").value_or(""), ", ");
  } else if (text.rfind("listening ", 0) == 0) {  // the fabric's worker
    const std::string_view place = text.substr(std::string_view("listening ").size());
    const std::size_t colon = place.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    host = place.substr(0, colon);
    port = place.substr(colon + 1);
  } else {
    return std::nullopt;
  }
  const auto number = whole_number(port, 65535);
  if (!number || *number == 0 || host.empty() || host.size() > kMaxNameBytes) return std::nullopt;
  return Listening{std::string(host), static_cast<std::uint16_t>(*number)};
}

std::optional<EngineEvent> parse_banner(std::string_view text) {
  const auto version = after(text, "Starting RPC server v");
  if (!version) return std::nullopt;
  const auto parts = split(until(*version, " ,"), '.');
  if (parts.size() != 3) return std::nullopt;
  const auto major = whole_number(parts[0], 255);
  const auto minor = whole_number(parts[1], 255);
  const auto patch = whole_number(parts[2], 255);
  if (!major || !minor || !patch) return std::nullopt;
  return RpcBanner{*major, *minor, *patch};
}

std::optional<EngineEvent> parse_accepted(std::string_view text) {
  if (text.rfind("Accepted client connection", 0) != 0) return std::nullopt;
  return ClientAccepted{};
}

/// Written past the logger, and never within a line of it.
std::optional<EngineEvent> parse_fabric(std::string_view line) {
  constexpr std::string_view kMark = "caravan: ";
  if (line.rfind(kMark, 0) != 0) return std::nullopt;
  return FabricFailed{std::string(line.substr(kMark.size()))};
}

struct StepMark {
  std::string_view text;
  LoadStep step;
};
constexpr std::array<StepMark, 5> kSteps{{
    {"loading model '", LoadStep::reading_model},
    {"loading model tensors", LoadStep::sending_weights},
    {"constructing llama_context", LoadStep::making_context},
    {"warming up the model", LoadStep::warming_up},
    {"llama_server: model loaded", LoadStep::loaded},
}};

std::optional<EngineEvent> parse_step(std::string_view text) {
  for (const StepMark& mark : kSteps) {
    if (contains(text, mark.text)) return mark.step;
  }
  return std::nullopt;
}

struct TroubleMark {
  std::string_view text;
  Trouble::Kind kind;
};
/// In order: a line that has several marks is of the first one's kind. All are of real logs, see
/// exit_test.cpp.
constexpr std::array<TroubleMark, 28> kTroubles{{
    {"error while loading shared libraries:", Trouble::Kind::missing_library},  // glibc
    {"CANNOT LINK EXECUTABLE", Trouble::Kind::missing_library},                 // Android
    {"Error loading shared library", Trouble::Kind::missing_library},           // musl
    {"symbol lookup error:", Trouble::Kind::missing_library},
    {"error: invalid argument:", Trouble::Kind::flag_unknown},
    {"error: unknown argument:", Trouble::Kind::flag_unknown},
    {"error while handling argument", Trouble::Kind::flag_unknown},
    {"error: unknown device:", Trouble::Kind::flag_unknown},
    {"error: invalid number of threads:", Trouble::Kind::flag_unknown},
    {"Invalid parameters", Trouble::Kind::flag_unknown},
    {"couldn't bind HTTP server socket", Trouble::Kind::port_taken},
    {"Failed to create server socket", Trouble::Kind::port_taken},
    {"bad_alloc", Trouble::Kind::out_of_memory},
    {"insufficient memory", Trouble::Kind::out_of_memory},
    {"unable to allocate", Trouble::Kind::out_of_memory},
    {"failed to allocate", Trouble::Kind::out_of_memory},
    {"Failed to allocate", Trouble::Kind::out_of_memory},
    {"RPC server version mismatch", Trouble::Kind::worker_incompatible},
    {"RPC handshake failed for ", Trouble::Kind::worker_incompatible},
    {"HELLO request size mismatch", Trouble::Kind::worker_incompatible},
    {"Remote RPC server crashed or returned malformed response", Trouble::Kind::worker_lost},
    {"ggml-rpc.cpp:", Trouble::Kind::worker_lost},
    {"Failed to connect to ", Trouble::Kind::worker_lost},
    {"send failed (bytes_sent=", Trouble::Kind::worker_lost},
    {"recv failed (bytes_recv=", Trouble::Kind::worker_lost},
    {"failed to open GGUF file", Trouble::Kind::model_unreadable},
    {"gguf_init_from_", Trouble::Kind::model_unreadable},
    {"error loading model", Trouble::Kind::model_unreadable},
}};

/// "/path/ggml.c:123: reason" of a failed assertion, or the C++ runtime's last words.
bool is_abort(std::string_view text) {
  if (text.rfind("terminate called", 0) == 0 || text.rfind("libc++abi: terminating", 0) == 0) return true;
  for (const std::string_view suffix : {".cpp:", ".c:", ".h:", ".cu:"}) {
    const std::size_t at = text.find(suffix);
    if (at == std::string_view::npos || contains(text.substr(0, at), " ")) continue;
    const std::string_view number = until(text.substr(at + suffix.size()), ":");
    if (!number.empty() && std::all_of(number.begin(), number.end(), is_digit)) return true;
  }
  return false;
}

/// The address in "Failed to connect to 127.0.0.1:50062" or "failed to allocate RPC0[127.0.0.1:50062]
/// buffer".
std::string worker_in(std::string_view text) {
  std::string_view address;
  for (const std::string_view mark : {"Failed to connect to ", "RPC handshake failed for "}) {
    if (const auto place = after(text, mark)) address = until(*place, " ");
  }
  if (const auto device = after(text, " RPC")) {
    if (const auto place = after(until(*device, " ]"), "[")) address = *place;
  }
  return std::string(address.substr(0, kMaxNameBytes));
}

/// "/home/me/llama.cpp/ggml/src/ggml.c:12: reason" without the folders.
std::string_view without_folder(std::string_view text) {
  const std::string_view place = until(text, " ");
  const std::size_t slash = place.rfind('/');
  return text.front() == '/' && slash != std::string_view::npos ? text.substr(slash + 1) : text;
}

/// Only errors, and what is written past the logger, are trouble: other messages quote models and people.
std::optional<EngineEvent> parse_trouble(const LogLine& line) {
  if (line.level != 'E' && line.level != '\0') return std::nullopt;
  for (const TroubleMark& mark : kTroubles) {
    if (!contains(line.text, mark.text)) continue;
    return Trouble{mark.kind, std::string(without_folder(line.text)), worker_in(line.text)};
  }
  if (is_abort(line.text)) return Trouble{Trouble::Kind::aborted, std::string(without_folder(line.text)), ""};
  return std::nullopt;
}

/// Without the colours that some debug messages switch on and off.
std::string_view without_leading_colours(std::string_view line) {
  while (line.rfind("\x1b[", 0) == 0) {
    const std::size_t end = line.find('m');
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
  }
  return line;
}

}  // namespace

LogLine split_level(std::string_view line) {
  line = without_leading_colours(line);
  const std::string_view time = until(line, " ");
  const bool is_time = std::count(time.begin(), time.end(), '.') == 3 &&
                       std::all_of(time.begin(), time.end(), [](char c) { return is_digit(c) || c == '.'; });
  if (!is_time || line.size() < time.size() + 3 || line[time.size() + 2] != ' ') return {'\0', line};
  const char level = line[time.size() + 1];
  if (!contains("EWID", {&level, 1})) return {'\0', line};
  return {level, line.substr(time.size() + 3)};
}

bool possible_while_serving(Trouble::Kind kind) {
  return kind == Trouble::Kind::out_of_memory || kind == Trouble::Kind::worker_lost ||
         kind == Trouble::Kind::aborted;
}

std::optional<EngineEvent> parse_engine_line(std::string_view line) {
  if (auto failure = parse_fabric(line)) return failure;
  const LogLine parts = split_level(line);
  for (const auto parse :
       {parse_layer, parse_buffer, parse_listening, parse_banner, parse_accepted, parse_step}) {
    if (auto event = parse(parts.text)) return event;
  }
  return parse_trouble(parts);
}

bool keep_in_log(std::string_view line, bool serving) {
  if (!serving || parse_fabric(line)) return true;
  const LogLine parts = split_level(line);
  if (parts.level == 'E' || parts.level == 'W') return true;
  const auto event = parse_trouble(parts);
  return event && possible_while_serving(std::get<Trouble>(*event).kind);
}

}  // namespace caravan::engine
