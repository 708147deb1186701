#include "base/json_look.h"

namespace caravan {
namespace {

/// Null when it is not there.
const Json* find(const Json& object, const char* field) {
  const auto found = object.is_object() ? object.find(field) : object.end();
  return found == object.end() ? nullptr : &*found;
}

}  // namespace

std::string text_in(const Json& object, const char* field, const std::string& fallback) {
  const Json* found = find(object, field);
  return found != nullptr && found->is_string() ? found->get<std::string>() : fallback;
}

std::optional<double> maybe_number_in(const Json& object, const char* field) {
  const Json* found = find(object, field);
  return found != nullptr && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

double number_in(const Json& object, const char* field, double fallback) {
  return maybe_number_in(object, field).value_or(fallback);
}

bool flag_in(const Json& object, const char* field) {
  const Json* found = find(object, field);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

const Json& part_of(const Json& object, const char* field) {
  static const Json nothing = Json::array();
  const Json* found = find(object, field);
  return found != nullptr && found->is_structured() ? *found : nothing;
}

}  // namespace caravan
