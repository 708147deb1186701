// Any bytes as the head of an HTTP answer: what is planned from it never goes beyond what was asked for or
// expected.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "model/http_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace caravan;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  model::ResponseHead head;
  for (const std::string& line : split(text, '\n')) head.add_line(line);
  if (head.stated_sha256 && head.stated_sha256->size() != 64) std::abort();
  const std::string host = model::host_of(text);
  const Bytes have{100};
  for (const model::Expected& expected :
       {model::Expected{}, model::Expected{Bytes{200}, std::string(64, 'a')}}) {
    const model::BodyPlan plan = model::plan_body(head, have, expected, host);
    const bool takes_body =
        plan.kind == model::BodyPlan::Kind::append || plan.kind == model::BodyPlan::Kind::from_zero;
    if (takes_body && expected.sha256 && plan.total != expected.size) std::abort();
    if (plan.kind == model::BodyPlan::Kind::append && head.content_range->first != have.count) std::abort();
    if (plan.kind == model::BodyPlan::Kind::fail && plan.error.message.empty()) std::abort();
  }
  return 0;
}
