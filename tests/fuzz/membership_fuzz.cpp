// Any bytes as a membership document: what is taken is consistent, comes back as it was, and has an owner.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "link/membership.h"

using namespace caravan::link;

namespace {

/// Without its check, mutations would hardly ever come further than the first signature.
void insert_unsigned(std::string_view text) {
  const auto json = caravan::parse_json(text, kMaxDocumentBytes);
  if (!json || !json->is_object()) return;
  const auto changes = json->find("changes");
  if (changes == json->end() || !changes->is_array()) return;
  MembershipLog log;
  for (const caravan::Json& item : *changes) {
    auto change = change_from_json(item, "change");
    if (change) (void)log.insert(*std::move(change));
  }
  if (log.size() > 0 && log.state().owners() == 0) std::abort();
  for (const auto& [key, former] : log.state().removed) {
    if (log.state().is_member(key)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  insert_unsigned(text);
  const auto membership = Membership::parse(text);
  if (!membership) {
    if (membership.error().message.empty()) std::abort();
    return 0;
  }
  const auto again = Membership::parse(membership->document());
  if (!again || again->summary() != membership->summary()) std::abort();
  if (membership->state().owners() == 0) std::abort();
  return 0;
}
