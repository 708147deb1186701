// A recording of a trace, as a module wrote it or somebody else did: what is accepted survives the way back,
// and is laid out, summed up and drawn whatever it says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "trace/chrome.h"
#include "trace/drawing.h"
#include "trace/summary.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  const auto json =
      parse_json(std::string_view(reinterpret_cast<const char*>(data), size), trace::kMaxRecordingBytes);
  if (!json) return 0;
  (void)trace::request_from_json(*json);
  (void)trace::progress_from_json(*json);
  const auto recording = trace::recording_from_json(*json);
  if (!recording) return 0;
  const auto sent = parse_json(dump_json(to_json(*recording)), 4 * trace::kMaxRecordingBytes);
  if (!sent) std::abort();
  const auto again = trace::recording_from_json(*sent);
  if (!again || *again != *recording) std::abort();
  const trace::Timeline timeline = trace::lay_out(*recording);
  (void)trace::summarize(timeline);
  (void)trace::chrome_trace(timeline, {});
  for (const auto& window : {trace::usual_tokens(timeline, 3), trace::longest_prompt(timeline)}) {
    if (window && trace::draw(timeline, *window, {}, 80).size() != timeline.stages.size() + 2) std::abort();
  }
  return 0;
}
