// Bytes as they come from a client, whole and in two pieces: the same requests must come out, whatever the
// cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/http_request.h"
#include "gateway/local_origin.h"

namespace {

using namespace caravan::gateway;

/// The requests in the stream, and the status of what ended it.
struct Outcome {
  std::vector<std::string> requests;
  unsigned failure = 0;
};

Outcome read(const std::vector<std::string_view>& pieces) {
  Outcome outcome;
  std::string input;
  RequestParser parser(256, 256);
  for (const std::string_view piece : pieces) {
    input += piece;
    bool more = true;
    while (more && outcome.failure == 0) {
      const std::size_t used = parser.feed(input);
      if (used > input.size()) std::abort();
      input.erase(0, used);
      if (parser.failure()) outcome.failure = parser.failure()->status;
      more = parser.done();
      if (!more) break;
      if (parser.body_bytes() > 256) std::abort();
      const Request request = parser.take();
      (void)check_local_origin(request);
      outcome.requests.push_back(request.method + " " + request.target + "?" + request.query + " " +
                                 request.body);
      parser = RequestParser(256, 256);
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = data[0] % size;
  const Outcome at_once = read({stream});
  const Outcome in_two = read({stream.substr(0, cut), stream.substr(cut)});
  // A request that is wrong and not yet whole may be refused at once or still be waited for: Beast parses
  // what comes first, and once that was too little it waits for the end of the header. Which requests come
  // out is always the same.
  if (at_once.requests != in_two.requests) std::abort();
  return 0;
}
