#include "base/measurement.h"

#include <array>
#include <cmath>
#include <utility>

namespace caravan {
namespace {

constexpr std::size_t kMaxNameLength = 64;
constexpr int kMaxThreads = 4096;
constexpr int kMaxColumns = 1 << 20;
constexpr double kMaxRate = 1e18;

constexpr std::array<std::pair<Quantity, std::string_view>, 7> kQuantities{
    {{Quantity::memory, "memory"},
     {Quantity::decode, "decode"},
     {Quantity::prefill, "prefill"},
     {Quantity::attention, "attention"},
     {Quantity::small_op, "small_op"},
     {Quantity::elements, "elements"},
     {Quantity::store, "store"}}};

bool has_weights(Quantity quantity) {
  return quantity == Quantity::decode || quantity == Quantity::prefill || quantity == Quantity::store;
}

void check(Fields& fields, const Measurement& measurement) {
  if (measurement.type.size() > kMaxNameLength) fields.fail("type", "is too long");
  if (measurement.layout.size() > kMaxNameLength) fields.fail("layout", "is too long");
  if (has_weights(measurement.quantity) && measurement.type.empty()) fields.fail("type", "is missing");
  if (has_weights(measurement.quantity) && measurement.layout.empty()) fields.fail("layout", "is missing");
  if (measurement.threads < 1 || measurement.threads > kMaxThreads)
    fields.fail("threads", "must be from 1 to 4096");
  if (measurement.columns < 1 || measurement.columns > kMaxColumns)
    fields.fail("columns", "must be from 1 to 1048576");
  const bool rate_ok =
      std::isfinite(measurement.rate) && measurement.rate > 0 && measurement.rate <= kMaxRate;
  if (!rate_ok) fields.fail("rate", "must be above 0 and finite");
  const bool share_ok = measurement.share >= 0 && measurement.share <= 1;
  if (!share_ok) fields.fail("share", "must be from 0 to 1");
}

}  // namespace

std::string_view name_of(Quantity quantity) {
  for (const auto& [value, name] : kQuantities) {
    if (value == quantity) return name;
  }
  return "";
}

Json to_json(const Measurement& measurement) {
  Json value{{"measured", name_of(measurement.quantity)},
             {"threads", measurement.threads},
             {"columns", measurement.columns},
             {"rate", measurement.rate},
             {"touched", measurement.touched.count},
             {"share", measurement.share}};
  if (!measurement.type.empty()) value["type"] = measurement.type;
  if (!measurement.layout.empty()) value["layout"] = measurement.layout;
  return value;
}

Result<Measurement> measurement_from_json(const Json& value) {
  Fields fields(value, "measurement");
  Measurement measurement;
  const std::string quantity = fields.text("measured");
  bool known = false;
  for (const auto& [candidate, name] : kQuantities) {
    if (name != quantity) continue;
    measurement.quantity = candidate;
    known = true;
  }
  if (!known) fields.fail("measured", "has an unknown value");
  measurement.type = fields.text_or("type", "");
  measurement.layout = fields.text_or("layout", "");
  measurement.threads = fields.small("threads");
  measurement.columns = fields.small("columns");
  measurement.rate = fields.number("rate");
  measurement.touched = Bytes{fields.whole_or("touched", 0)};
  measurement.share = fields.number_or("share", 1);
  check(fields, measurement);
  if (!fields.ok()) return fields.error();
  return measurement;
}

}  // namespace caravan
