#include "fabric/wire/fields.h"

namespace caravan::fabric {

void FieldReader::text(std::string& value, std::size_t limit) {
  std::uint16_t size = 0;
  number(size);
  if (size > limit) return fail("a text that is too long");
  if (!has(size)) return;
  value.assign(left_.substr(0, size));
  left_.remove_prefix(size);
}

void FieldReader::rest(std::string_view& value, std::size_t limit) {
  if (left_.size() > limit) return fail("too many bytes of data");
  value = left_;
  left_ = {};
}

}  // namespace caravan::fabric
