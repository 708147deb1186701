// Output of the engine's programs: log lines, help pages, versions, replies to a hello.
#include <cstdint>
#include <string_view>

#include "engine/exit.h"
#include "engine/flags.h"
#include "engine/lines.h"
#include "engine/output.h"
#include "engine/output_ring.h"
#include "engine/probe_text.h"
#include "engine/rpc_probe.h"
#include "engine/token_rates.h"

using namespace caravan::engine;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  OutputRing ring;
  LineSplitter splitter(512);
  const auto take = [&](std::string_view line) {
    ring.add(line);
    (void)keep_in_log(line, true);
    const auto event = parse_engine_line(line);
    if (!event) return;
    if (const auto* trouble = std::get_if<Trouble>(&*event)) ring.add_trouble(*trouble);
  };
  splitter.feed(text, take);
  splitter.finish(take);
  for (const RunPhase phase : {RunPhase::starting, RunPhase::serving}) {
    (void)classify(Program::llama_server, ExitStatus{1, 0}, ring, false, phase);
  }
  (void)EngineFlags::from_help(text).names();
  (void)parse_version(text);
  (void)parse_features(text);
  (void)parse_devices(text);
  (void)parse_rpc_reply_length(text.substr(0, kRpcLengthBytes));
  (void)parse_rpc_hello(text);
  (void)parse_token_totals(text);
  return 0;
}
