// Any bytes as what the other device says while pairing, one message a line: nobody is let in without the
// person's consent or the code, and what is read is written again as it was.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "link/pairing_code.h"
#include "link/pairing_numeric.h"

using namespace caravan::link;

namespace {

template <typename Kind>
void abort_on(const PairingActions& actions) {
  for (const PairingAction& action : actions) {
    if (std::holds_alternative<Kind>(action)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const caravan::TimePoint now{};
  const PublicKey one{1};
  const PublicKey two{2};
  PairingWindow window(now);
  NumericOwner owner(window, {one, two, "binding", Hash{3}}, "home", "pixel-6", now);
  NumericJoiner joiner({two, one, "binding", Hash{4}}, "tablet", JoinerAsks::its_person);
  (void)joiner.start(now);
  auto code = InvitationCode::make(one, {}, std::string(kSecretBytes, 's'), 0);
  if (!code) std::abort();
  Invitation invitation(*code, now);
  CodeOwner code_owner(invitation, {one, two, "binding"}, now);
  CodeJoiner code_joiner(*code, {two, one, "binding"}, "tablet");
  (void)code_joiner.start(now);
  for (const std::string& line : caravan::split(text, '\n')) {
    if (const auto message = decode_pairing_message(line, kMaxWelcomeBytes)) {
      const auto again = decode_pairing_message(encode(*message), 4 * kMaxWelcomeBytes);
      if (!again || again->index() != message->index()) std::abort();
    }
    abort_on<AdmitDevice>(owner.on(line, now));
    abort_on<JoinedCluster>(joiner.on(line, now));
    abort_on<AdmitDevice>(code_owner.on(line, now));
    abort_on<JoinedCluster>(code_joiner.on(line, now));
  }
  return 0;
}
