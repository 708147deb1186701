// Any bytes as a catalogue: what is accepted has safe file names and can be searched.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/catalogue.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto catalogue = caravan::model::Catalogue::parse(text);
  if (!catalogue) {
    if (catalogue.error().message.empty()) std::abort();
    return 0;
  }
  for (const auto& entry : catalogue->entries()) {
    if (entry.file.find('/') != std::string::npos || entry.file.front() == '.') std::abort();
    if (entry.sources.empty() || catalogue->find(entry.name) == nullptr) std::abort();
  }
  return 0;
}
